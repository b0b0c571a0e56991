/** `npm run tenants`: plays other walks than `npm test` does, or one of them again. The test does the work. */
import { parseArgs } from 'node:util'
import { startVitest } from 'vitest/node'

const usage = `npm run tenants -- [options]
  --seed 9|random   the walks to begin with; each further batch is of the next number
  --minutes 0       go on with new walks for so long
  --pairs 25        pairs of tenants at once, each of which plays eight walks
  --walk N          that walk of the seed alone, on a pair of its own
  --tries 12        how often a walk that fails is played again with fewer steps
`
const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '9' },
    minutes: { type: 'string', default: '0' },
    pairs: { type: 'string', default: '25' },
    walk: { type: 'string' },
    tries: { type: 'string', default: '12' },
    help: { type: 'boolean', default: false },
  },
})
for (const name of ['seed', 'minutes', 'pairs', 'walk', 'tries'] as const) {
  const text = values[name]
  if (text === undefined || (name === 'seed' && text === 'random')) continue
  if (!/^\d{1,10}$/.test(text)) throw new RangeError(`--${name} is a whole number, not "${text}"`)
  process.env[`TENANTS_${name.toUpperCase()}`] = text
}
if (values.seed === 'random') process.env['TENANTS_SEED'] = 'random'
if (values.help) process.stdout.write(usage)
else {
  const vitest = await startVitest('test', [], { project: ['tenants'], watch: false })
  await vitest.close()
}
