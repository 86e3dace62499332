// An identity provider that nobody here wrote, as tests/support/sign_in/oidc_provider.py sets it up:
// the first argument is the file of its configuration, which is read anew for each look-up of an
// account.
import { readFileSync } from 'node:fs';

import Provider from 'oidc-provider';

const file = process.argv[2];
const read = () => JSON.parse(readFileSync(file, 'utf8'));
const { port, clients } = read();

const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients,
  // Whoever is named signs in, with any password; its claims are those of the moment.
  findAccount: (_, id) => {
    const claims = read().accounts[id];
    return claims && { accountId: id, claims: () => ({ sub: id, ...claims }) };
  },
  acrValues: ['silver', 'gold'],
  claims: { openid: ['sub', 'acr', 'amr'], email: ['email', 'email_verified'], profile: ['name'] },
  // As other providers do: what a scope stands for is in the ID token itself.
  conformIdTokenClaims: false,
  features: { devInteractions: { enabled: true } },
  pkce: { required: () => true },
  cookies: { keys: ['for tests alone'] },
});

// Each sign-in shows what the account names.
const { loginAccount } = provider.Session.prototype;
provider.Session.prototype.loginAccount = function login(details) {
  const { acr, amr } = read().accounts[details.accountId] ?? {};
  return loginAccount.call(this, { ...details, acr, amr });
};

provider.listen(port, '127.0.0.1');
