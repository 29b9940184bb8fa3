// `npm run build`: src → dist.
import { build, checkNode, installPackages } from './install.mjs';

checkNode();
installPackages({ dev: false });
build();
