/** Where an engine is, as DOCKER_HOST says. Whoever speaks to an engine is root on its machine, and is told the secrets of agents. */
import type Dockerode from 'dockerode'

/** Contents of PEM files: by whom the engine is signed, and who we are. */
export interface EngineTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

const usualSocket = '/var/run/docker.sock'

const loopback = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/

/** The engine's own socket, as a path of its host. */
export const socketOf = (host?: string): string =>
  host?.startsWith('unix://') === true ? host.slice('unix://'.length) : usualSocket

/** What is wrong with a host; undefined: it can be used. */
export function hostFault(host: string, encrypted: boolean): string | undefined {
  const url = URL.parse(host)
  if (url?.protocol === 'unix:') return undefined
  if (url?.protocol !== 'tcp:' || url.hostname === '')
    return 'is no Docker host: write unix:///var/run/docker.sock or tcp://host:2376'
  if (encrypted || loopback.test(url.hostname)) return undefined
  return 'is another machine: set DOCKER_TLS_CA, DOCKER_TLS_CERT and DOCKER_TLS_KEY, since secrets would go there in clear text'
}

/**
 * Options of the client, all of them: what is left out it would take from DOCKER_* of the environment, past the
 * configuration. Throws a TypeError for a host that cannot be used.
 */
export function clientOptions(host: string | undefined, tls: EngineTls | undefined): Dockerode.DockerOptions {
  const fault = host === undefined ? undefined : hostFault(host, tls !== undefined)
  if (fault !== undefined) throw new TypeError(`the Docker host ${fault}`)
  const plain = { ca: undefined, cert: undefined, key: undefined, username: undefined, timeout: undefined }
  const url = URL.parse(host ?? '')
  if (url?.protocol !== 'tcp:')
    return { ...plain, protocol: 'http', host: undefined, port: undefined, socketPath: socketOf(host) }
  const [protocol, usual] = tls === undefined ? (['http', 2375] as const) : (['https', 2376] as const)
  const hostname = url.hostname.replace(/^\[(.*)\]$/, '$1')
  return { ...plain, ...tls, protocol, host: hostname, port: url.port || usual, socketPath: undefined }
}
