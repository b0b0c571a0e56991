/** The cluster of the demo: a control plane of our own, or one that the user has. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Cluster } from '../cluster.ts'
import { findBinaries, startControlPlane } from '../control-plane.ts'
import { installOperator, uninstallOperator } from '../install.ts'
import type { Report } from '../progress.ts'
import type { DemoOptions } from './options.ts'

export interface Place {
  readonly cluster: Cluster
  /** Takes back everything that was put there. */
  leave(): Promise<void>
}

const marker = 'molecule.dev/demo'

export async function findPlace(options: DemoOptions, dir: string, report: Report): Promise<Place> {
  if (options.existing) return attach(options.existing.context, dir, report)
  const controlPlane = await startControlPlane({
    binaries: await findBinaries(report),
    dir: join(dir, 'control-plane'),
    report,
  })
  try {
    await installOperator(controlPlane)
  } catch (error) {
    await controlPlane.stop()
    throw error
  }
  return { cluster: controlPlane, leave: () => controlPlane.stop() }
}

async function attach(context: string | undefined, dir: string, report: Report): Promise<Place> {
  const kubectl = await findKubectl(report)
  const users = process.env['KUBECONFIG'] || join(homedir(), '.kube', 'config')
  const theirs = new Cluster({ kubeconfig: users, kubectl, dir, context })
  // One context in one file: what the demo does can reach no other cluster.
  const kubeconfig = join(dir, 'kubeconfig')
  await writeFile(kubeconfig, await theirs.kubectl(['config', 'view', '--raw', '--minify', '--flatten']), {
    mode: 0o600,
  })
  const cluster = new Cluster({ kubeconfig, kubectl, dir })
  const name = (await cluster.kubectl(['config', 'current-context'])).trim()
  report(`cluster: context ${name}`)
  const taken = await cluster.kubectl(['get', 'namespace', 'molecule-system', '--ignore-not-found', '-o', 'json'])
  if (taken.trim() !== '' && !taken.includes(`"${marker}"`))
    throw new Error(`an operator is installed in ${name} already (namespace molecule-system): two would fight over it`)
  const { policy } = await installOperator(cluster)
  await cluster.kubectl(['label', 'namespace', 'molecule-system', `${marker}=true`, '--overwrite'])
  if (!policy) report('  it has no MutatingAdmissionPolicy: the operator adds its finalizer itself')
  return { cluster, leave: () => uninstallOperator(cluster) }
}

/** The user's own, or else the one that comes with a control plane. */
async function findKubectl(report: Report): Promise<string> {
  const own = await promisify(execFile)('kubectl', ['version', '--client']).then(
    () => true,
    () => false,
  )
  return own ? 'kubectl' : (await findBinaries(report)).kubectl
}
