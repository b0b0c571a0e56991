/** The operator as the demo runs it: a process of its own, with the rights of `manifests/rbac` and no more. */
import { join } from 'node:path'
import { z } from 'zod'
import { withProgress, type Report } from '../progress.ts'
import { ServerProcess } from '../server-process.ts'
import type { Agents } from './agents.ts'

interface OperatorOptions {
  /** Of the operator's own ServiceAccount. */
  readonly kubeconfig: string
  readonly databaseUrl: string
  readonly adminToken: string
  /** Of the secrets in the database's rows. */
  readonly secretsKey: string
  readonly agents: Agents
  readonly platformPort: number
  readonly healthPort: number
  readonly dir: string
  /** File for its log. */
  readonly log: string
  readonly report: Report
}

const main = join(import.meta.dirname, '..', '..', 'main.ts')

/** Starts it and waits until it is ready, the database migrated. Secrets go by environment, never by argument. */
export async function startOperator(options: OperatorOptions): Promise<ServerProcess> {
  const { healthPort } = options
  const operator = new ServerProcess({
    name: 'the operator',
    command: process.execPath,
    args: [main, 'run'],
    dir: join(options.dir, 'operator'),
    logFile: options.log,
    env: {
      // A context of the user's kubeconfig is not one of this one.
      KUBE_CONTEXT: '',
      KUBECONFIG: options.kubeconfig,
      DATABASE_URL: options.databaseUrl,
      ADMIN_TOKEN: options.adminToken,
      SECRETS_KEY: options.secretsKey,
      PLATFORM_PORT: String(options.platformPort),
      HEALTH_HOST: '127.0.0.1',
      HEALTH_PORT: String(healthPort),
      LOG_LEVEL: 'info',
      // It would outlive us among the temporary files.
      NODE_COMPILE_CACHE: join(options.dir, 'compile-cache'),
      ...options.agents.settings,
    },
    ready: async (signal) => (await fetch(`http://127.0.0.1:${String(healthPort)}/readyz`, { signal })).ok,
  })
  await withProgress(options.report, 'starting the operator', operator.start())
  return operator
}

/** The last thing an operator called an error, of its log: `reconcile failed: connect ECONNREFUSED`. */
export function lastErrorIn(log: string): string | undefined {
  const errors = log.split('\n').flatMap((line) => {
    const { data } = errorLine.safeParse(parsed(line))
    if (!data) return []
    const cause = data.cause ?? (typeof data.err === 'object' ? data.err.message : data.err)
    return [cause === undefined ? data.msg : `${data.msg}: ${cause}`]
  })
  return errors.at(-1)
}

const errorLine = z.object({
  level: z.enum(['warn', 'error', 'fatal']),
  msg: z.string(),
  cause: z.string().optional(),
  err: z.union([z.string(), z.object({ message: z.string() })]).optional(),
})

/** The first line of what was kept may be a half one. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
