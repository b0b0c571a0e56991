/** `npm run check`: every rule of the house that a machine can hold, side by side, a line each, and what fails in full. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

const root = join(import.meta.dirname, '..', '..')
const modules = join(root, 'node_modules')
const script = (...path: string[]) => [process.execPath, join(modules, ...path)]

const checks: readonly { readonly name: string; readonly command: readonly string[] }[] = [
  { name: 'types', command: [join(modules, '.bin', 'tsc'), '--noEmit'] },
  { name: 'lint', command: [join(modules, '.bin', 'oxlint'), '--type-aware', '--deny-warnings'] },
  {
    name: 'format',
    command: [...script('prettier', 'bin', 'prettier.cjs'), '--check', '--cache', '--log-level', 'warn', '.'],
  },
  {
    name: 'who imports whom',
    command: [...script('dependency-cruiser', 'bin', 'dependency-cruise.mjs'), 'src', '--output-type', 'err'],
  },
  { name: 'dead code', command: script('knip', 'bin', 'knip.js') },
  { name: 'generated files', command: [process.execPath, join(root, 'src', 'dev', 'generate.ts'), '--check'] },
]

async function run({ name, command }: (typeof checks)[number]): Promise<boolean> {
  const started = performance.now()
  const [file = '', ...args] = command
  const child = spawn(file, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NO_COLOR: '1' },
  })
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
  const passed = child.exitCode === 0
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${passed ? '✓' : '✗'} ${name.padEnd(18)} ${seconds.padStart(5)} s`)
  if (!passed) console.log(`${out}${err}`.trimEnd().replaceAll(/^/gm, '    '))
  return passed
}

const results = await Promise.all(checks.map(run))
const failed = results.filter((passed) => !passed).length
if (failed > 0) console.log(`\n${String(failed)} of ${String(checks.length)} checks failed`)
process.exitCode = failed === 0 ? 0 : 1
