// `npm start`: installs what is missing, compiles what is stale, serves.
import { checkNode, installPackages } from './install.mjs';

checkNode();
installPackages({ dev: false });
await import('./troupe.mjs');
