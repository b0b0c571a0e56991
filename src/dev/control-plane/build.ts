/** The last resort: the control plane's binaries from Go modules, with the machine's own `go`. */
import { mkdir, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { go } from '../go.ts'
import { withProgress, type Report } from '../progress.ts'
import { kubernetesVersion, type BinaryName } from './version.ts'

/** Where go.mod is. */
const here = import.meta.dirname

const packages: Readonly<Record<BinaryName, string>> = {
  etcd: 'go.etcd.io/etcd/server/v3',
  'kube-apiserver': 'k8s.io/kubernetes/cmd/kube-apiserver',
  kubectl: 'k8s.io/kubernetes/cmd/kubectl',
  'kube-controller-manager': 'k8s.io/kubernetes/cmd/kube-controller-manager',
}
/** From an empty Go cache on two cores, for the line that says how long it will take. */
const minutes: Readonly<Record<BinaryName, string>> = {
  etcd: 'about a minute',
  'kube-apiserver': 'about four minutes',
  kubectl: 'half a minute',
  'kube-controller-manager': 'about a minute',
}

/**
 * Builds into `dir` the binaries it lacks. Each is moved into place whole, so that an interrupted build leaves only
 * finished ones, to be continued; of two builders at once, the later one's equal file replaces the earlier one's.
 */
export async function buildBinaries(
  dir: string,
  missing: readonly BinaryName[],
  report: Report,
  signal?: AbortSignal,
): Promise<void> {
  await go(['version'], here, signal)
  await mkdir(dir, { recursive: true })
  await removeLeftovers(dir)
  for (const [index, name] of missing.entries()) {
    report(
      `building ${name} with go (${String(index + 1)} of ${String(missing.length)}, ${minutes[name]} the first time)`,
    )
    const unfinished = join(dir, `.building-${String(process.pid)}-${name}`)
    try {
      await withProgress(
        report,
        `  ${name}`,
        go(['build', '-trimpath', '-ldflags', ldflags(), '-o', unfinished, packages[name]], here, signal),
      )
      await rename(unfinished, join(dir, name))
    } finally {
      await rm(unfinished, { force: true })
    }
  }
}

/** The version that the API server tells its clients is linked in. */
function ldflags(): string {
  const [major = '', minor = ''] = kubernetesVersion.slice(1).split('.')
  const set = (name: string, value: string) => `-X k8s.io/component-base/version.${name}=${value}`
  return ['-s -w', set('gitVersion', kubernetesVersion), set('gitMajor', major), set('gitMinor', minor)].join(' ')
}

/** Output of a builder that was killed, as far as that one is certainly gone. */
async function removeLeftovers(dir: string): Promise<void> {
  for (const entry of await readdir(dir)) {
    const [, pid] = /^\.building-(\d+)-/.exec(entry) ?? []
    if (pid !== undefined && !isRunning(Number(pid))) await rm(join(dir, entry), { force: true })
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
