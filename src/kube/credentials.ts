import { readFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { readKubeconfig, type KubeconfigUser } from './kubeconfig.ts'

/** How to reach the API server and who we are there, as of now. */
export interface Access {
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
  readonly servername?: string
  readonly insecure?: boolean
  readonly authorization?: string
}

export interface Credentials {
  /** Base URL, without a slash at the end. */
  readonly server: string
  /** The namespace of the context or service account; `default` where none is said. */
  readonly namespace: string
  /** Reads the files again, or runs the plugin again. Called once a minute and after every 401. */
  load(): Promise<Access>
}

export interface CredentialsOptions {
  /** Path of a kubeconfig; without one: in-cluster, else `~/.kube/config`. Several paths are not merged. */
  readonly kubeconfig?: string
  readonly context?: string
  /** `KUBERNETES_SERVICE_HOST` and `KUBERNETES_SERVICE_PORT`, where the process runs in a pod. */
  readonly inCluster?: { readonly host: string; readonly port: string }
}

/** Finds out who we are: the named kubeconfig, else the pod's service account, else the user's own kubeconfig. */
export async function findCredentials(options: CredentialsOptions): Promise<Credentials> {
  if (options.kubeconfig === undefined && options.context === undefined && options.inCluster)
    return await serviceAccount(options.inCluster)
  return await fromKubeconfig(options.kubeconfig ?? join(homedir(), '.kube', 'config'), options.context)
}

const accountFolder = '/var/run/secrets/kubernetes.io/serviceaccount'

/** The kubelet renews the token file long before the token ends, so reading it once a minute is enough. */
async function serviceAccount(at: { host: string; port: string }): Promise<Credentials> {
  const host = at.host.includes(':') ? `[${at.host}]` : at.host
  const namespace = await readFile(join(accountFolder, 'namespace'), 'utf8').catch(() => 'default')
  return {
    server: `https://${host}:${at.port}`,
    namespace: namespace.trim(),
    async load() {
      const token = await readFile(join(accountFolder, 'token'), 'utf8')
      return { ca: await readFile(join(accountFolder, 'ca.crt'), 'utf8'), authorization: `Bearer ${token.trim()}` }
    },
  }
}

async function fromKubeconfig(path: string, context: string | undefined): Promise<Credentials> {
  const first = await readKubeconfig(path, context)
  const folder = dirname(resolve(path))
  return {
    server: first.cluster.server.replace(/\/+$/, ''),
    namespace: first.namespace ?? 'default',
    async load() {
      // Read whole again: tools that rotate certificates write them into this very file.
      const { cluster, user } = await readKubeconfig(path, context)
      const ca = await pemOf(folder, cluster['certificate-authority-data'], cluster['certificate-authority'])
      const insecure = cluster['insecure-skip-tls-verify'] === true
      const servername = cluster['tls-server-name']
      return {
        ...(ca !== undefined && { ca }),
        ...(insecure && { insecure }),
        ...(servername !== undefined && { servername }),
        ...(await identity(path, context, folder, user)),
      }
    },
  }
}

async function identity(
  path: string,
  context: string | undefined,
  folder: string,
  user: KubeconfigUser,
): Promise<Pick<Access, 'cert' | 'key' | 'authorization'>> {
  if (user.exec !== undefined || user['auth-provider'] !== undefined) return await fromPlugin(path, context)
  const cert = await pemOf(folder, user['client-certificate-data'], user['client-certificate'])
  const key = await pemOf(folder, user['client-key-data'], user['client-key'])
  const authorization = await authorizationOf(folder, user)
  return {
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(authorization !== undefined && { authorization }),
  }
}

async function authorizationOf(folder: string, user: KubeconfigUser): Promise<string | undefined> {
  if (user.tokenFile !== undefined) {
    const token = await readFile(resolve(folder, user.tokenFile), 'utf8')
    return `Bearer ${token.trim()}`
  }
  if (user.token !== undefined) return `Bearer ${user.token}`
  if (user.username === undefined) return undefined
  return `Basic ${Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64')}`
}

async function pemOf(folder: string, data: string | undefined, file: string | undefined): Promise<string | undefined> {
  if (data !== undefined) return Buffer.from(data, 'base64').toString('utf8')
  return file === undefined ? undefined : await readFile(resolve(folder, file), 'utf8')
}

/** Imported only here, where it is needed: the library costs about 90 MB of memory. */
async function fromPlugin(path: string, context: string | undefined): Promise<Access> {
  const { KubeConfig } = await import('@kubernetes/client-node')
  const config = new KubeConfig()
  config.loadFromFile(path)
  if (context !== undefined) config.setCurrentContext(context)
  const options: Parameters<typeof config.applyToHTTPSOptions>[0] = {}
  await config.applyToHTTPSOptions(options)
  const headers: unknown = options.headers
  const authorization =
    typeof headers === 'object' && headers !== null ? (headers as Record<string, unknown>)['Authorization'] : undefined
  return {
    ...(options.cert !== undefined && { cert: String(options.cert) }),
    ...(options.key !== undefined && { key: String(options.key) }),
    ...(typeof authorization === 'string' && { authorization }),
  }
}
