import { Terminal } from '../errors.ts'
import { longestFilePath, type InstanceFile, type InstanceSpec } from './backend.ts'

/** Where the token lies, relative to the configuration folder; and what the agent knows the operator's calls by. */
export const tokenFile = '.auth_token'
export const inboundSecretFile = '.platform_inbound_secret'
const ours: ReadonlySet<string | undefined> = new Set([tokenFile, inboundSecretFile])

/** `ws-<uid>`, the one name everything of an instance derives from. Throws on a uid that could escape a path. */
export function instanceName(uid: string): string {
  if (!/^[A-Za-z0-9][A-Za-z0-9-]{0,62}$/.test(uid)) throw new Terminal('InvalidUid', `"${uid}" is not a uid`)
  return `ws-${uid}`
}

/** The files as given, or a `Terminal` that names the first one that would leave the configuration folder. */
export function checkedFiles(files: readonly InstanceFile[]): readonly InstanceFile[] {
  for (const { path } of files) {
    const parts = path.split('/')
    const strays = parts.some((part) => part === '' || part === '.' || part === '..')
    if (
      strays ||
      path.includes('\\') ||
      path.includes('\0') ||
      Buffer.byteLength(path) > longestFilePath ||
      ours.has(parts[0])
    )
      throw new Terminal('InvalidFile', `file "${path}" is not a relative path inside the configuration folder`)
  }
  return files
}

/** All that is in the configuration folder before the start: the files as checked, and the launch's own credentials. */
export const deliveredFiles = ({ files, token, inboundSecret }: InstanceSpec): readonly InstanceFile[] => [
  ...checkedFiles(files),
  { path: tokenFile, content: token, mode: 0o600 },
  ...(inboundSecret === undefined ? [] : [{ path: inboundSecretFile, content: inboundSecret, mode: 0o600 }]),
]

/** The environment as given, or a `Terminal` that names the variable at fault, never its value. */
export function checkedEnv(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(env))
    if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name) || value.includes('\0'))
      throw new Terminal('InvalidEnvironment', `environment variable "${name.slice(0, 100)}" cannot be passed on`)
  return env
}
