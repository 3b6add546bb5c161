// The certified authorization server `oidc-provider`, dressed as a Databricks workspace. Plain http on 127.0.0.1.
//
//   GET  /.well-known/databricks-config                        what a client asks first
//   GET  /oidc/.well-known/oauth-authorization-server          RFC 8414
//   GET  /oidc/v1/authorize   POST /oidc/v1/token   POST /oidc/v1/revoke
//   GET  /api/2.0/preview/scim/v2/Me                           who a bearer token is; 401 for one that is expired, revoked or not its own
//
// Environment:
//   PORT           0 = a free one
//   TTL            seconds that an access token lives (3600)
//   REFRESH        `rotate`: single use, and a second use revokes the family (default); `reuse`: they can be used again
//   REFRESH_TTL    seconds that a refresh token lives (a week)
//   FORMAT         of access tokens: `jwt`, as Databricks has them (default), or `opaque`, which die when they are revoked
//   CLIENT_ID, CLIENT_SECRET   the confidential client for client_credentials; without a secret there is none
//   TOKEN_DELAY_MS how long the token endpoint takes to answer, to widen races (0)
//
// The first line on stdout is the port. Each line after it is an event in JSON:
//   {"event": "authorize" | "revoke", "ok": …, "error": …}
//   {"event": "asked"}                                         a request to the token endpoint was read; its grant comes after the delay
//   {"event": "grant", "type": "refresh_token" | …, "client": …, "ok": …, "error": …, "description": …}
//   {"event": "family-revoked"}                                every token of a sign-in was made void
//   {"event": "api", "status": 200 | 401}
// It ends when its stdin closes.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { text } from 'node:stream/consumers';

import { load } from './packages.mjs';

// stdout is for events; the library's notices are talk.
console.info = console.error;
const started = await load('oidc-provider');
const Provider = started.default;

const number = (name, otherwise) => (process.env[name] ? Number(process.env[name]) : otherwise);
const ttl = number('TTL', 3600);
const delay = number('TOKEN_DELAY_MS', 0);
const rotate = (process.env.REFRESH ?? 'rotate') === 'rotate';
const jwt = (process.env.FORMAT ?? 'jwt') === 'jwt';
const secret = process.env.CLIENT_SECRET;

const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);

const server = createServer();
await new Promise((resolve) => server.listen(number('PORT', 0), '127.0.0.1', resolve));
const host = `http://127.0.0.1:${server.address().port}`;
const issuer = `${host}/oidc`;

const clients = [
  {
    client_id: 'databricks-cli',
    // Native: any port of the loopback redirect is as good as the registered one (RFC 8252, 7.3).
    application_type: 'native',
    redirect_uris: ['http://localhost:8020'],
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    id_token_signed_response_alg: 'ES256',
  },
];
if (secret) {
  clients.push({
    client_id: process.env.CLIENT_ID ?? 'service-principal',
    client_secret: secret,
    redirect_uris: [],
    response_types: [],
    grant_types: ['client_credentials'],
    token_endpoint_auth_method: 'client_secret_basic',
    id_token_signed_response_alg: 'ES256',
  });
}

const signing = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const provider = new Provider(issuer, {
  clients,
  jwks: { keys: [{ ...signing.privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256' }] },
  cookies: { keys: [randomBytes(32).toString('hex')] },
  scopes: ['openid', 'offline_access', 'all-apis'],
  responseTypes: ['code'],
  pkce: { required: () => true },
  routes: { authorization: '/v1/authorize', token: '/v1/token', revocation: '/v1/revoke' },
  rotateRefreshToken: rotate,
  expiresWithSession: () => false,
  ttl: {
    AccessToken: ttl,
    ClientCredentials: ttl,
    RefreshToken: number('REFRESH_TTL', 7 * 24 * 3600),
    AuthorizationCode: 60,
    Grant: 30 * 24 * 3600,
    Interaction: 3600,
    Session: 24 * 3600,
    IdToken: 3600,
  },
  features: {
    clientCredentials: { enabled: true },
    revocation: { enabled: true, allowedPolicy: () => true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: jwt,
      defaultResource: () => host,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: 'all-apis',
        audience: host,
        accessTokenTTL: ttl,
        accessTokenFormat: 'jwt',
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
});

const failed = (error) => ({ ok: false, error: error.error ?? error.name, description: error.error_description ?? error.message });
const asked = (ctx) => ({ type: ctx.oidc?.params?.grant_type ?? '', client: ctx.oidc?.client?.clientId ?? ctx.oidc?.params?.client_id ?? '' });
provider.on('authorization.success', () => say({ event: 'authorize', ok: true }));
provider.on('authorization.error', (_, error) => say({ event: 'authorize', ...failed(error) }));
provider.on('grant.success', (ctx) => say({ event: 'grant', ...asked(ctx), ok: true }));
provider.on('grant.error', (ctx, error) => say({ event: 'grant', ...asked(ctx), ...failed(error) }));
provider.on('grant.revoked', () => say({ event: 'family-revoked' }));
provider.on('revocation.error', (_, error) => say({ event: 'revoke', ...failed(error) }));
provider.on('server_error', (_, error) => console.error(error));
provider.use(async (ctx, next) => {
  await next();
  if (ctx.path === '/v1/revoke' && ctx.status === 200) {
    say({ event: 'revoke', ok: true });
  }
});
const oidc = provider.callback();

/** Whose token this is; nothing for one that is not good. */
async function bearer(token) {
  if (!jwt) {
    const found = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token));
    return found?.isValid ? (found.accountId ?? found.clientId) : undefined;
  }
  try {
    // The library's own dependency; what it signed, it also reads.
    const { jwtVerify } = await load('jose');
    const { payload } = await jwtVerify(token, signing.publicKey, { issuer, audience: host });
    return payload.sub;
  } catch {
    return undefined;
  }
}

function answer(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

server.on('request', async (request, response) => {
  const url = new URL(request.url, host);
  if (url.pathname === '/.well-known/databricks-config') {
    answer(response, 200, {
      oidc_endpoint: issuer,
      account_id: '7a99b43c-b46c-432b-b0a7-814217701909',
      workspace_id: '1234567890123456',
      cloud: 'AWS',
      host_type: 'workspace',
    });
  } else if (url.pathname === '/api/2.0/preview/scim/v2/Me') {
    const [, token] = /^Bearer (.+)$/.exec(request.headers.authorization ?? '') ?? [];
    const user = token && (await bearer(token));
    say({ event: 'api', status: user ? 200 : 401 });
    if (user) {
      answer(response, 200, { schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'], id: '1', userName: user, active: true });
    } else {
      answer(response, 401, { error_code: 'UNAUTHENTICATED', message: 'The access token is expired, revoked or not of this workspace.' });
    }
  } else if (url.pathname.startsWith('/oidc/')) {
    if (url.pathname === '/oidc/v1/authorize' && !url.searchParams.has('prompt')) {
      // OpenID Connect gives offline access only with consent asked for; Databricks asks without being told.
      url.searchParams.set('prompt', 'consent');
    }
    // As a framework mounts an application: the library sees the rest and makes links with the whole.
    request.originalUrl = url.pathname + url.search;
    request.url = request.originalUrl.slice('/oidc'.length);
    if (url.pathname === '/oidc/v1/token' && delay) {
      // Read to its end: a server that works on a request goes on when the client is gone.
      request.body = Object.fromEntries(new URLSearchParams(await text(request)));
      say({ event: 'asked' });
      await new Promise((resolve) => setTimeout(resolve, delay));
    }
    oidc(request, response);
  } else {
    answer(response, 404, { error_code: 'ENDPOINT_NOT_FOUND', message: `No API found for '${request.method} ${url.pathname}'` });
  }
});

process.stdout.write(`${server.address().port}\n`);
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0)).resume();
