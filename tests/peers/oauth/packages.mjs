// Packages of target/test-node, where tests/install puts them: a script's own folder has none.
// TEST_NODE names another place.

import { createRequire } from 'node:module';
import { fileURLToPath, pathToFileURL } from 'node:url';

const place = process.env.TEST_NODE ?? fileURLToPath(new URL('../../../target/test-node', import.meta.url));
const require = createRequire(pathToFileURL(`${place}/package.json`));

/** The module of an installed package. */
export async function load(name) {
  return import(pathToFileURL(require.resolve(name)));
}
