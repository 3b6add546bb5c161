// The JavaScript SDK as a long-running program: me.mjs PROFILE CALLS PAUSE_MS asks who it is, again and again, and says how that went.
//
// One line of JSON: {"ok": …, "unauthorized": …, "errors": [texts of all failures], "users": [who it was]}.

import { setTimeout } from 'node:timers/promises';

import { load } from '../oauth/packages.mjs';

const [profile, calls, pause] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];
const result = { ok: 0, unauthorized: 0, errors: [], users: [] };
const { WorkspaceClient } = (await load('@databricks/sdk-experimental')).default;
let client;
try {
  client = new WorkspaceClient({ profile });
} catch (error) {
  result.errors.push(String(error));
}
for (let call = 0; client && call < calls; call += 1) {
  if (call) await setTimeout(pause);
  try {
    const { userName } = await client.currentUser.me();
    result.ok += 1;
    if (!result.users.includes(userName)) result.users.push(userName);
  } catch (error) {
    result.unauthorized += error?.statusCode === 401 ? 1 : 0;
    result.errors.push(String(error));
  }
}
console.log(JSON.stringify(result));
