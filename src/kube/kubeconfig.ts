import { readFile } from 'node:fs/promises'

export interface KubeconfigCluster {
  readonly server: string
  readonly 'certificate-authority'?: string
  readonly 'certificate-authority-data'?: string
  readonly 'insecure-skip-tls-verify'?: boolean
  readonly 'tls-server-name'?: string
}

export interface KubeconfigUser {
  readonly 'client-certificate'?: string
  readonly 'client-certificate-data'?: string
  readonly 'client-key'?: string
  readonly 'client-key-data'?: string
  readonly token?: string
  readonly tokenFile?: string
  readonly username?: string
  readonly password?: string
  readonly exec?: unknown
  readonly 'auth-provider'?: unknown
}

interface Kubeconfig {
  readonly 'current-context'?: string
  readonly clusters?: readonly { readonly name: string; readonly cluster?: KubeconfigCluster }[]
  readonly users?: readonly { readonly name: string; readonly user?: KubeconfigUser }[]
  readonly contexts?: readonly {
    readonly name: string
    readonly context?: { readonly cluster: string; readonly user?: string; readonly namespace?: string }
  }[]
}

/** One context of a kubeconfig. Throws with the path and what is missing; never with what the file holds. */
export async function readKubeconfig(
  path: string,
  context: string | undefined,
): Promise<{ cluster: KubeconfigCluster; user: KubeconfigUser; namespace: string | undefined }> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new Error(`kubeconfig ${path} cannot be read`, { cause })
  })
  const config = await parse(path, text)
  const name = context ?? config['current-context']
  const chosen = config.contexts?.find((entry) => entry.name === name)?.context
  if (!chosen) throw new Error(`kubeconfig ${path} has no context "${name ?? ''}"`)
  const cluster = config.clusters?.find((entry) => entry.name === chosen.cluster)?.cluster
  if (!cluster?.server) throw new Error(`kubeconfig ${path} has no cluster "${chosen.cluster}" with a server`)
  const user = config.users?.find((entry) => entry.name === chosen.user)?.user ?? {}
  return { cluster, user, namespace: chosen.namespace }
}

async function parse(path: string, text: string): Promise<Kubeconfig> {
  const { parse } = await import('yaml')
  try {
    // Its warnings, too, would print what the file holds.
    const value: unknown = parse(text, { logLevel: 'error' })
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // The parser's message quotes the line, which may be a key.
  }
  throw new Error(`kubeconfig ${path} is not YAML`)
}
