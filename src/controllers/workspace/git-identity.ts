/** Who an agent is to git, unless its environment says otherwise (lifecycle §3.5). Pure. */

const slug = (text: string): string =>
  text
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')

/** `fallback` gives the address where nothing of the name can stand in one. */
export function gitIdentity(displayName: string, fallback: string): Readonly<Record<string, string>> {
  const name = `Molecule AI ${displayName}`
  const email = `${slug(displayName) || fallback}@agents.moleculesai.app`
  return { GIT_AUTHOR_NAME: name, GIT_AUTHOR_EMAIL: email, GIT_COMMITTER_NAME: name, GIT_COMMITTER_EMAIL: email }
}
