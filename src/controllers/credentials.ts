/** Credentials that are no agent's by default. */

/** Of code hosts: an agent gets one only where its author named it, never with a whole Secret. */
export const codeHostTokens: ReadonlySet<string> = new Set([
  'GITEA_TOKEN',
  'GITHUB_TOKEN',
  'GH_TOKEN',
  'GITLAB_TOKEN',
  'GL_TOKEN',
  'BITBUCKET_TOKEN',
])

/** Of those who run the platform: a Secret with one of them was not meant for agents (lifecycle §3.5). */
export const operatorScope = /(_PAT$|^CP_ADMIN_(API_)?TOKEN$|^(INFISICAL|RAILWAY|HETZNER|MOLECULE_OPERATOR)_)/
