import { pino } from 'pino'
import { expect, test } from 'vitest'
import { provlog, type ProvlogEvent } from './provlog.ts'

function recorder() {
  const lines: string[] = []
  return { lines, log: pino({ messageKey: 'msg' }, { write: (line: string) => void lines.push(line) }) }
}

test('each event is one line that a plain grep finds, with its fields as JSON', () => {
  const { lines, log } = recorder()
  const id = { workspace_id: '3f6c' }
  provlog(log, 'provision.start', { ...id, name: 'a\nb "c"', tier: 3, runtime: 'codex', template: '', sync: false })
  provlog(log, 'provision.skip_existing', { workspace_id: '3f6c', name: 'a' })
  provlog(log, 'restart.pre_stop', { workspace_id: '3f6c', backend: 'docker' })
  const names: Record<ProvlogEvent, true> = {
    'provision.start': true,
    'provision.skip_existing': true,
    'restart.pre_stop': true,
  }
  expect(lines).toHaveLength(3)
  for (const [index, name] of Object.keys(names).entries()) {
    const line = lines[index] ?? ''
    expect(line).toContain(`evt: ${name} {`)
    expect(line.indexOf('\n')).toBe(line.length - 1)
    const [, json = ''] = /^evt: \S+ (.*)$/.exec((JSON.parse(line) as { msg: string }).msg) ?? []
    expect(JSON.parse(json)).toMatchObject({ workspace_id: '3f6c' })
  }
})

test('fields that cannot be written do not hide the boundary', () => {
  const { lines, log } = recorder()
  const fields = { workspace_id: '3f6c', backend: 'docker', size: 1n } as const
  provlog(log, 'restart.pre_stop', fields)
  expect((JSON.parse(lines[0] ?? '') as { msg: string }).msg).toMatch(/^evt: restart\.pre_stop \{"_marshal_err":"/)
})
