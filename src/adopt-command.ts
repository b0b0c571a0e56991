/** `molecule-operator adopt`: what the system before left behind is given to a namespace, by an administrator alone. */
import { adoptUsage, ConfigError, readConfig } from './config.ts'
import type { AssignmentStore, LegacyRow } from './store/assignment-store.ts'
import { openAssignments } from './store/postgres/assignments.ts'
import { withDatabase } from './store/postgres/start-faults.ts'

type Act =
  { readonly kind: 'list' } | { readonly kind: 'assign'; readonly row: string; readonly namespace: string | undefined }

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
/** As Kubernetes names a namespace. */
const namespaceName = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/

/** Does one thing and gives what to print. Throws a ConfigError that names what is wrong with the words. */
export async function adoptCommand(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const [act, rest] = actOf(args)
  const { DATABASE_URL: url } = readConfig(rest, env)
  const store = await withDatabase(url, () => openAssignments(url))
  try {
    return act.kind === 'list' ? printed(await store.list()) : await assign(store, act)
  } finally {
    await store.close()
  }
}

function actOf(args: readonly string[]): readonly [Act, readonly string[]] {
  const at = args.findIndex((arg) => /^--(list|assign|unassign)(=|$)/.test(arg))
  const [, verb, inline] = /^--(\w+)(?:=(.*))?$/s.exec(args[at] ?? '') ?? []
  if (verb === undefined) throw new ConfigError(`adopt needs one of its own flags: ${adoptUsage}`)
  if (verb === 'list') return [{ kind: 'list' }, args.toSpliced(at, 1)]
  const value = inline ?? args[at + 1] ?? ''
  const rest = args.toSpliced(at, inline === undefined ? 2 : 1)
  const [row = '', namespace, ...more] = value.split('=')
  if (!uuid.test(row)) throw new ConfigError(`--${verb} needs the id (UUID) of a row: "${row}" is none; ${adoptUsage}`)
  if (verb === 'unassign' && namespace === undefined) return [{ kind: 'assign', row, namespace }, rest]
  if (verb === 'unassign') throw new ConfigError(`--unassign takes a row alone: ${adoptUsage}`)
  if (namespace === undefined || more.length > 0 || !namespaceName.test(namespace))
    throw new ConfigError(`--assign ${row}: "${[namespace ?? '', ...more].join('=')}" is no name of a namespace`)
  return [{ kind: 'assign', row, namespace }, rest]
}

async function assign(store: AssignmentStore, { row, namespace }: Act & { kind: 'assign' }): Promise<string> {
  switch (await store.assign(row, namespace)) {
    case 'done':
      return namespace === undefined
        ? `row ${row} is assigned to no namespace\n`
        : `row ${row} is assigned to ${namespace}\n`
    case 'unknown':
      throw new Error(`there is no row ${row}: see adopt --list`)
    case 'owned':
      throw new Error(`row ${row} belongs to a Workspace: only rows without an owner are assigned`)
  }
}

function printed(rows: readonly LegacyRow[]): string {
  if (rows.length === 0) return 'no row is without an owner\n'
  const lines = [
    ['ROW', 'ASSIGNED TO', 'STATUS', 'BACKEND', 'INSTANCE', 'NAME'],
    ...rows.map(({ id, assignedTo, status, backend, instanceId, name }) => [
      id,
      assignedTo ?? '-',
      status,
      backend,
      instanceId?.slice(0, 12) ?? '-',
      // Whatever a system wrote: it must not steer the terminal.
      JSON.stringify(name.replaceAll(/\p{C}/gu, '\ufffd')),
    ]),
  ]
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0))) ?? []
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, i) => cell.padEnd(widths[i] ?? 0))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('')
}
