// Signs users in by openid-client, with all of its checks. Each line of its input is a JSON array:
// [ISSUER, CALLBACK, CLIENT_ID, SECRET, METHOD, EMAIL, PASSWORD, CODE], where METHOD is basic, post or
// none, and CODE is one of an app, or left out. It prints what it found as JSON, in a line.
// Without EMAIL, the user has a browser: it prints {"open": URL}, and the next line is the URL of the
// callback with which the browser came back, or empty.
import { createInterface } from 'node:readline';
import * as oc from 'openid-client';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
for await (const line of lines) {
  console.log(JSON.stringify(await signIn(...JSON.parse(line))));
}

async function signIn(issuer, callback, id, secret, method, email, password, code) {
  const methods = { basic: oc.ClientSecretBasic, post: oc.ClientSecretPost, none: oc.None };
  const config = await oc.discovery(new URL(issuer), id, undefined, methods[method](secret), {
    execute: [oc.allowInsecureRequests, oc.enableNonRepudiationChecks],
  });

  const cookies = {};

  /** Follows redirects, and the link to an application, as a user does, until the callback or a page. */
  async function open(url, form) {
    for (;;) {
      if (String(url).startsWith(callback)) return { url: new URL(url), body: '' };
      const response = await fetch(url, {
        redirect: 'manual',
        method: form ? 'POST' : 'GET',
        body: form && new URLSearchParams(form),
        headers: {
          accept: 'text/html',
          cookie: Object.entries(cookies).map((pair) => pair.join('=')).join('; '),
        },
      });
      for (const line of response.headers.getSetCookie()) {
        const [name, ...value] = line.split(';')[0].split('=');
        cookies[name] = value.join('=');
      }
      const body = await response.text();
      const link = /<a class="button" href="([^"]+)">Continue to/.exec(body)?.[1];
      if (!link && (response.status < 300 || response.status > 399)) {
        return { url: new URL(url), body, status: response.status };
      }
      form = undefined;
      url = new URL(link?.replaceAll('&amp;', '&') ?? response.headers.get('location'), url);
    }
  }

  /** Submits the forms of another provider. */
  async function signInElsewhere(url, login) {
    let page = await open(url);
    while (page.status === 200) {
      const action = /<form[^>]* action="([^"]+)"/.exec(page.body)[1].replaceAll('&amp;', '&');
      const prompt = /name="prompt" value="([^"]+)"/.exec(page.body)[1];
      page = await open(new URL(action, page.url), { prompt, login, password: 'any' });
    }
    return page;
  }

  /** Submits our forms. */
  async function signInHere(start) {
    const page = await open(start);
    const authorization = /name="authorization" value="([^"]+)/.exec(page.body)[1];
    const back = password
      ? await open(`${issuer}/sign-in`, { email, password, authorization })
      : await signInElsewhere(`${issuer}/sso/start?authorization=${authorization}`, email);
    return code ? open(back.url, { code }) : back;
  }

  async function signInByBrowser(start) {
    console.log(JSON.stringify({ open: start }));
    const url = JSON.parse((await lines.next()).value);
    return { url: url && new URL(url) };
  }

  const found = {};
  const verifier = oc.randomPKCECodeVerifier();
  const state = oc.randomState();
  const nonce = oc.randomNonce();
  const start = oc.buildAuthorizationUrl(config, {
    redirect_uri: callback,
    scope: 'openid profile email groups',
    code_challenge: await oc.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    max_age: '3600',
  });
  const back = await (email ? signInHere(start) : signInByBrowser(start));
  if (!back.url) return found;
  if (back.status) {
    found.refused = back.status;
    return found;
  }
  const checks = {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    maxAge: 3600,
    idTokenExpected: true,
  };
  const tokens = await oc.authorizationCodeGrant(config, back.url, checks);
  found.claims = tokens.claims();
  found.userinfo = await oc.fetchUserInfo(config, tokens.access_token, found.claims.sub);
  if (tokens.refresh_token) {
    const next = await oc.refreshTokenGrant(config, tokens.refresh_token);
    found.keeps_auth_time = next.claims().auth_time === found.claims.auth_time;
    const renewed = (token) =>
      oc.refreshTokenGrant(config, token).then((one) => one.access_token === next.access_token, (e) => e.error);
    found.reuse = await renewed(tokens.refresh_token);
    found.family = await renewed(next.refresh_token);
    found.access = await oc
      .fetchUserInfo(config, next.access_token, found.claims.sub)
      .then(() => 200, (e) => e.status);
  }
  found.code_reuse = await oc.authorizationCodeGrant(config, back.url, checks).catch((e) => e.error);
  await oc.tokenRevocation(config, tokens.access_token);
  const bye = await open(
    oc.buildEndSessionUrl(config, {
      id_token_hint: tokens.id_token,
      post_logout_redirect_uri: `${callback}/bye`,
      state: 'bye',
    }),
  );
  found.after_logout = String(bye.url);
  return found;
}
