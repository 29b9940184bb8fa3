#!/usr/bin/env node
// The package's `bin`. In a clone it installs and compiles first; an installed package brings dist along.
import { build, checkNode, installPackages, isClone } from './install.mjs';

checkNode();
if (isClone) installPackages({ dev: false });
build();
const { main } = await import('../dist/main.js');
await main(process.argv.slice(2));
