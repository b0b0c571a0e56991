/** What a person may try while a demo runs. */
import { access, constants } from 'node:fs/promises'
import { delimiter, dirname, join } from 'node:path'
import type { Cluster } from '../cluster.ts'

interface Running {
  readonly cluster: Pick<Cluster, 'kubeconfig' | 'kubectlPath'>
  readonly namespace: string
  /** Name of the OrgImport. */
  readonly org: string
  /** An agent to kill; undefined where none has an instance. */
  readonly victim: { readonly displayName: string; readonly instanceId: string } | undefined
  /** File of the operator's log. */
  readonly log: string
  readonly metricsUrl: string
}

/** Lines to paste into another terminal, with a kubectl where the machine's PATH has none. */
export async function invitation(running: Running, path = process.env['PATH'] ?? ''): Promise<string> {
  const { cluster, namespace, org, victim, log, metricsUrl } = running
  const folder = dirname(cluster.kubectlPath)
  const lacksKubectl = folder !== '.' && !(await has('kubectl', path))
  return `
In another terminal:

${lacksKubectl ? `  export PATH="$PATH:${folder}"\n` : ''}  export KUBECONFIG=${cluster.kubeconfig}
  kubectl get molecule -n ${namespace}
  kubectl describe org ${org} -n ${namespace}
  kubectl explain workspace.spec
${victim === undefined ? '' : `\nNow kill ${victim.displayName}, and see it come back:\n\n  ${killing(victim.instanceId)}\n`}
The operator's log:  tail -f ${log}
Its metrics:         curl ${metricsUrl}

Ctrl-C stops everything and leaves nothing behind.
`
}

/** By the backend's name of an instance: a container's id, or `pid-<pid>-<launch>`. */
function killing(instanceId: string): string {
  const [, pid] = /^pid-(\d+)-/.exec(instanceId) ?? []
  return pid === undefined ? `docker kill ${instanceId.slice(0, 12)}` : `kill -9 ${pid}`
}

async function has(program: string, path: string): Promise<boolean> {
  const found = await Promise.all(
    path.split(delimiter).map((folder) =>
      access(join(folder, program), constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  )
  return found.includes(true)
}
