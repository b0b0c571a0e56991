/** The schedules of a node. One that cannot run is left out and told of: the others are not to wait for it. */
import type { OrgSchedule } from '../api/org-template.ts'
import { faultOf } from '../cron.ts'
import { limits } from './limits.ts'
import { slug } from './names.ts'
import type { Path } from './org-error.ts'
import { checkedText, fileNamed, refuseUnreadable } from './prompts.ts'
import type { Scope } from './scope.ts'

/** As in a Workspace's spec. */
export interface NodeSchedule {
  /** Unique in its node. */
  readonly name: string
  readonly cron: string
  readonly timezone: string
  readonly prompt: string
  readonly enabled: boolean
}

const longest = { name: 128, cron: 128, timezone: 64, prompt: 16_384 } as const

export function schedulesOf(scope: Scope): NodeSchedule[] {
  const { node, at, path, refuse, attempt, warnings } = scope
  const names = new Set<string>()
  return (node.schedules ?? []).flatMap((schedule, i) => {
    const here = [...at, 'schedules', i]
    const read = attempt(() => readSchedule(schedule, i, here, scope), undefined)
    if (read === undefined) return []
    if (typeof read === 'string') {
      warnings.add('ScheduleSkipped', path, `schedule "${schedule.name ?? i + 1}" is left out: ${read}`, here)
      if (warnings.count('ScheduleSkipped') > limits.skippedSchedules)
        refuse(
          'InvalidField',
          here,
          `more than ${limits.skippedSchedules} schedules that cannot run; of this one: ${read}`,
        )
      return []
    }
    const name = distinct(read.name, names)
    names.add(name)
    if (name !== read.name)
      warnings.add('DuplicateName', path, `two schedules are called "${read.name}": one becomes "${name}"`, here)
    return [{ ...read, name }]
  })
}

/** A string says why it cannot run. */
function readSchedule(schedule: OrgSchedule, i: number, at: Path, scope: Scope): NodeSchedule | string {
  const cron = (schedule.cron_expr ?? '').trim().split(/\s+/).join(' ')
  const timezone = schedule.timezone?.trim() || 'UTC'
  const odd = oddTime(cron, timezone)
  if (odd !== undefined) return odd
  const prompt = promptOf(schedule, at, scope)
  if (prompt === undefined) return `"${schedule.prompt_file}" is not in the source`
  if (prompt === '') return 'it has no prompt'
  if (prompt.length > longest.prompt) return `its prompt is longer than ${longest.prompt} characters`
  const name = slug(schedule.name ?? '', longest.name) || `schedule-${i + 1}`
  return { name, cron, timezone, prompt, enabled: schedule.enabled ?? true }
}

function oddTime(cron: string, timezone: string): string | undefined {
  if (cron.length > longest.cron || !/^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}$/.test(cron))
    return `cron_expr "${cron.slice(0, longest.cron)}" has not five fields (minute hour day month weekday)`
  if (timezone.length > longest.timezone || !/^[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+)*$/.test(timezone))
    return `timezone "${timezone.slice(0, longest.timezone)}" is no IANA time zone`
  return faultOf(cron, timezone)
}

/** Trimmed; undefined when it is in a file that is not there. */
function promptOf({ prompt, prompt_file }: OrgSchedule, at: Path, scope: Scope): string | undefined {
  const { refuse, warnings, files, folder, path } = scope
  const own = prompt?.trim() ?? ''
  if (prompt_file === undefined || prompt_file === '') return checkedText(own, [...at, 'prompt'], refuse)
  if (own !== '') {
    warnings.add('IneffectiveField', path, 'prompt_file is not read: there is a prompt, too', [...at, 'prompt_file'])
    return checkedText(own, [...at, 'prompt'], refuse)
  }
  const here = [...at, 'prompt_file']
  const file = fileNamed(prompt_file, folder ?? '', here, refuse)
  const text = files.text(file)
  if (text === undefined) refuseUnreadable(scope, file, here)
  return text === undefined ? undefined : checkedText(text, here, refuse).trim()
}

export function distinct(name: string, taken: ReadonlySet<string>): string {
  let free = name
  for (let i = 2; taken.has(free); i++) free = `${name.slice(0, longest.name - 4).replace(/-$/, '')}-${i}`
  return free
}
