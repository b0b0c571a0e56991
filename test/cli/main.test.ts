/** The command line as a shell sees it. */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

function run(args: readonly string[], env: Record<string, string> = {}) {
  const { stdout, stderr, status } = spawnSync(process.execPath, [...args], {
    cwd: root,
    encoding: 'utf8',
    env: { PATH: process.env['PATH'] ?? '', ...env },
  })
  return { stdout, stderr, status }
}

test('--help names every setting, and version is the one of the package', () => {
  expect(run(['src/main.ts', '--help'])).toMatchObject({ status: 0, stdout: expect.stringContaining('DATABASE_URL') })
  expect(run(['src/main.ts', 'version']).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

test('wrong settings end with code 2 and one line that names them, but no value', () => {
  const { status, stderr } = run(['src/main.ts', 'run'], {
    ADMIN_TOKEN: 'hunter2',
    DATABASE_URL: 'postgres://u:hunter3@h/d',
  })
  expect(status).toBe(2)
  expect(stderr).toMatch(/^molecule-operator: ADMIN_TOKEN has at least 32 characters\n$/)
  expect(stderr).not.toMatch(/hunter/)
  expect(run(['src/main.ts', 'dance']).stderr).toContain('unknown command "dance"')
})

test('however it is started, it goes on with the memory settings it needs, once', () => {
  const program = `
    import { beginAgain } from './src/process.ts'
    beginAgain()
    const { NODE_COMPILE_CACHE: cache, MALLOC_ARENA_MAX: arenas } = process.env
    console.log(process.execArgv.filter((flag) => flag.startsWith('--max-semi')).length, typeof gc, arenas, cache)`
  const { stdout } = run(['--input-type=module', '-e', program], { NODE_COMPILE_CACHE: '/tmp/given' })
  expect(stdout).toBe('1 function 2 /tmp/given\n')
})
