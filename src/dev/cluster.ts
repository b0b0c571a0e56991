/** A cluster as a person with a kubeconfig sees it: one this project started, or one that was there. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { parse, stringify } from 'yaml'
import { z } from 'zod'

export interface KubectlOptions {
  /** Standard input. */
  readonly input?: string
  readonly kubeconfig?: string
  readonly signal?: AbortSignal
}

export class Cluster {
  /** Administrator's. */
  readonly kubeconfig: string
  /** Path of the binary. */
  readonly kubectlPath: string
  readonly #cacheDir: string
  readonly #context: readonly string[]

  /** `dir` is for what kubectl remembers of the API: ports come back, and an older server's memory must not. */
  constructor(options: { kubeconfig: string; kubectl: string; dir: string; context?: string | undefined }) {
    this.kubeconfig = options.kubeconfig
    this.kubectlPath = options.kubectl
    this.#cacheDir = `${options.dir}/kubectl-cache`
    this.#context = options.context === undefined ? [] : [`--context=${options.context}`]
  }

  /** Runs kubectl and gives its standard output. Throws its standard error. */
  async kubectl(args: readonly string[], options: KubectlOptions = {}): Promise<string> {
    const own = options.kubeconfig === undefined ? this.#context : []
    const child = spawn(this.kubectlPath, [`--cache-dir=${this.#cacheDir}`, ...own, ...args], {
      stdio: ['pipe', 'pipe', 'pipe'],
      // In a session of its own: Ctrl-C at the terminal, or its end, must not break off what undoes something.
      detached: true,
      env: { ...process.env, KUBECONFIG: options.kubeconfig ?? this.kubeconfig },
      ...(options.signal && { signal: options.signal }),
    })
    const ended = once(child, 'close')
    // kubectl may end before it has read everything: its exit code says what counts.
    child.stdin.on('error', () => {})
    child.stdin.end(options.input ?? '')
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), ended])
    if (child.exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${err.trim()}`)
    return out
  }

  /** Applies objects, or what is at a path: a file, a folder of files, or a folder with a kustomization. */
  async apply(what: string | readonly object[]): Promise<string> {
    const apply = ['apply', '--server-side', '--force-conflicts', '--field-manager=molecule-dev']
    // As JSON: to kubectl, which reads YAML 1.1, a bare key `y` is `true`.
    if (typeof what !== 'string')
      return this.kubectl([...apply, '-f', '-'], {
        input: JSON.stringify({ apiVersion: 'v1', kind: 'List', items: what }),
      })
    return this.kubectl([
      ...apply,
      ['kustomization.yaml', 'Kustomization'].some((name) => existsSync(join(what, name))) ? '-k' : '-f',
      what,
    ])
  }

  /** One object or list as JSON. */
  async getJson(...args: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.kubectl(['get', ...args, '-o', 'json']))
  }

  /**
   * Writes a kubeconfig for a ServiceAccount, with a token good for a day, and gives its path. Whoever uses it can do
   * what RBAC says, as in a pod.
   */
  async identity(namespace: string, serviceAccount: string, path: string): Promise<string> {
    const token = await this.kubectl(['create', 'token', serviceAccount, '-n', namespace, '--duration=24h'])
    const server = kubeconfigShape.parse(
      parse(await this.kubectl(['config', 'view', '--raw', '--minify', '--flatten'])),
    )
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'operator',
      clusters: [{ name: 'cluster', cluster: server.clusters[0].cluster }],
      users: [{ name: serviceAccount, user: { token: token.trim() } }],
      contexts: [{ name: 'operator', context: { cluster: 'cluster', user: serviceAccount } }],
    }
    await writeFile(path, stringify(config), { mode: 0o600 })
    return path
  }
}

const kubeconfigShape = z.object({ clusters: z.tuple([z.object({ cluster: z.record(z.string(), z.unknown()) })]) })
