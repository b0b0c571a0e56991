/** Variables that no template may have delivered: their values give rights beyond those of an agent. Pure. */
import { codeHostTokens, operatorScope } from '../credentials.ts'

/** The operator's own, beside `operatorScope`. No agent needs them for its work. */
const never = ['ADMIN_TOKEN', 'DATABASE_URL', 'KUBECONFIG', 'SECRETS_ENCRYPTION_KEY']

/** Keys to code and clouds: one agent may be trusted with one, a whole tree at once never. */
const notForAll = [
  ...codeHostTokens,
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AZURE_CLIENT_SECRET',
  'CLOUDFLARE_API_KEY',
  'CLOUDFLARE_API_TOKEN',
  'CODEBERG_TOKEN',
  'DIGITALOCEAN_TOKEN',
  'DOCKERHUB_TOKEN',
  'FLY_API_TOKEN',
  'FORGEJO_TOKEN',
  'GCP_SERVICE_ACCOUNT_KEY',
  'GH_ENTERPRISE_TOKEN',
  'GITHUB_APP_PRIVATE_KEY',
  'GOOGLE_APPLICATION_CREDENTIALS',
  'HEROKU_API_KEY',
  'HCLOUD_TOKEN',
  'NPM_TOKEN',
  'PULUMI_ACCESS_TOKEN',
  'TF_API_TOKEN',
  'VAULT_TOKEN',
]

const always: ReadonlySet<string> = new Set(never)
const treeWide: ReadonlySet<string> = new Set(notForAll)

/** `tree`: it would reach every workspace; `node`: only those that `secretsFrom` names. */
export const isForbidden = (name: string, reach: 'tree' | 'node'): boolean =>
  always.has(name) || operatorScope.test(name) || (reach === 'tree' && treeWide.has(name))
