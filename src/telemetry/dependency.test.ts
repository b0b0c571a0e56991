import { expect, test, vi } from 'vitest'
import { seconds } from '../duration.ts'
import { Dependency } from './dependency.ts'
import { createLogger } from './log.ts'
import { createMetrics } from './metrics.ts'

const causes = { gone: 'it is not there', shut: 'it lets no one in' }

function given(patience = seconds(0)) {
  const [metrics, lines] = [createMetrics(), [] as Record<string, unknown>[]]
  const log = createLogger('info', { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) })
  const dependency = new Dependency({ name: 'well', causes, log, metrics, patience })
  return { dependency, metrics, lines, said: () => lines.map(({ level, msg, reason }) => [level, msg, reason]) }
}

test('an outage is one line for each of its causes, and one when it is over', () => {
  const { dependency, lines, said } = given()
  for (let i = 0; i < 100; i++) dependency.fails('gone', new Error('no', { cause: new Error('connect ECONNREFUSED') }))
  dependency.fails('shut', new Error('no'))
  dependency.fails('gone', new Error('no'))
  expect(dependency.trouble).toBe('it is not there')
  dependency.works()
  dependency.works()
  expect(dependency.trouble).toBeUndefined()
  expect(said()).toEqual([
    ['warn', 'dependency failed', 'gone'],
    ['warn', 'dependency failed', 'shut'],
    ['info', 'dependency works again', undefined],
  ])
  expect(lines[0]).toMatchObject({ dependency: 'well', cause: 'no: connect ECONNREFUSED' })
  dependency.fails('gone', new Error('no'))
  expect(lines).toHaveLength(4)
})

test('what passes within its patience is in no line, and is seen all the same', () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  try {
    const { dependency, said } = given(seconds(2))
    for (let i = 0; i < 5; i++) {
      dependency.fails('gone', new Error('no'))
      expect(dependency.trouble).toBe('it is not there')
      vi.advanceTimersByTime(1500)
      dependency.works()
    }
    expect(said()).toEqual([])
    dependency.fails('gone', new Error('no'))
    vi.advanceTimersByTime(2000)
    dependency.fails('gone', new Error('no'))
    expect(said()).toEqual([['warn', 'dependency failed', 'gone']])
  } finally {
    vi.useRealTimers()
  }
})

test('its gauge and its counts are there from the start', async () => {
  const { dependency, metrics } = given()
  const shown = async () =>
    (await metrics.registry.metrics()).split('\n').filter((line) => line.includes('dependency="well"'))
  expect(await shown()).toEqual([
    'molecule_operator_dependency_up{dependency="well"} 1',
    'molecule_operator_dependency_errors_total{dependency="well",cause="gone"} 0',
    'molecule_operator_dependency_errors_total{dependency="well",cause="shut"} 0',
  ])
  dependency.count('shut')
  dependency.fails('shut', new Error('no'))
  dependency.observe()
  expect(await shown()).toEqual([
    'molecule_operator_dependency_up{dependency="well"} 0',
    'molecule_operator_dependency_errors_total{dependency="well",cause="gone"} 0',
    'molecule_operator_dependency_errors_total{dependency="well",cause="shut"} 1',
  ])
  dependency.works()
  dependency.observe(false)
  expect(await shown()).toContain('molecule_operator_dependency_up{dependency="well"} 0')
})
