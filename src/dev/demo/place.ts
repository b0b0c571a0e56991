/** The cluster of the demo: a control plane of our own, or one that the user has. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Cluster } from '../cluster.ts'
import { findBinaries, startControlPlane } from '../control-plane.ts'
import { installOperator } from '../install.ts'
import type { Report } from '../progress.ts'
import { Guest } from './guest.ts'
import type { DemoOptions } from './options.ts'

export interface Place {
  readonly cluster: Cluster
  /** Makes the org's namespace, and gives its name. */
  makeNamespace(): Promise<string>
  addRuntimes(runtimes: readonly object[]): Promise<void>
  /** Takes back everything that was put there. To be called when the operator no longer runs. */
  leave(): Promise<void>
}

export async function findPlace(
  options: DemoOptions,
  dir: string,
  report: Report,
  interrupted: AbortSignal,
): Promise<Place> {
  if (options.existing) return attach(options.existing.context, dir, report, interrupted)
  const binaries = await findBinaries(report, { signal: interrupted })
  const cluster = await startControlPlane({ binaries, dir: join(dir, 'control-plane'), report })
  try {
    await installOperator(cluster)
  } catch (error) {
    await cluster.stop()
    throw error
  }
  return {
    cluster,
    async makeNamespace() {
      await cluster.apply([{ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'demo' } }])
      return 'demo'
    },
    async addRuntimes(runtimes) {
      await cluster.apply(runtimes)
    },
    // It goes as a whole.
    leave: () => cluster.stop(),
  }
}

async function attach(
  context: string | undefined,
  dir: string,
  report: Report,
  interrupted: AbortSignal,
): Promise<Place> {
  const kubectl = await findKubectl(report, interrupted)
  const users = process.env['KUBECONFIG'] || join(homedir(), '.kube', 'config')
  const theirs = new Cluster({ kubeconfig: users, kubectl, dir, context })
  // One context in one file: what the demo does can reach no other cluster.
  const kubeconfig = join(dir, 'kubeconfig')
  await writeFile(kubeconfig, await theirs.kubectl(['config', 'view', '--raw', '--minify', '--flatten']), {
    mode: 0o600,
  })
  const cluster = new Cluster({ kubeconfig, kubectl, dir })
  report(`cluster: context ${(await cluster.kubectl(['config', 'current-context'])).trim()}`)
  const guest = new Guest(cluster, report)
  try {
    await guest.comeIn()
  } catch (error) {
    await guest.leave()
    throw error
  }
  return {
    cluster,
    makeNamespace: () => guest.makeNamespace(),
    addRuntimes: (runtimes) => guest.addRuntimes(runtimes),
    leave: () => guest.leave(),
  }
}

/** The user's own, or else the one that comes with a control plane. */
async function findKubectl(report: Report, signal: AbortSignal): Promise<string> {
  const own = await promisify(execFile)('kubectl', ['version', '--client']).then(
    () => true,
    () => false,
  )
  return own ? 'kubectl' : (await findBinaries(report, { signal })).kubectl
}
