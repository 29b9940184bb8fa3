#!/usr/bin/env node
// The package's `bin`. In a clone it compiles first; an installed package brings dist along.
import { build } from './install.mjs';

build();
const { main } = await import('../dist/main.js');
await main(process.argv.slice(2));
