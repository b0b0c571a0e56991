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
  for (const ask of [['-h'], ['help'], [], ['run', '--help'], ['migrate', '-h']])
    expect(run(['src/main.ts', ...ask])).toMatchObject({ status: 0, stdout: expect.stringContaining('DATABASE_URL') })
  for (const ask of ['version', '--version']) expect(run(['src/main.ts', ask]).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

test('wrong settings end with code 2 and one line that names them, but no value', () => {
  const { status, stderr } = run(['src/main.ts', 'run'], {
    ADMIN_TOKEN: 'hunter2',
    DATABASE_URL: 'postgres://u:hunter3@h/d',
  })
  expect(status).toBe(2)
  expect(stderr).toMatch(/^molecule-operator: ADMIN_TOKEN must have at least 32 characters; it has 7 .*\n$/)
  expect(stderr).not.toMatch(/hunter/)
  expect(run(['src/main.ts', 'dance']).stderr).toContain('unknown command "dance"')
})

test('an operator of containers that could not reach it does not start', () => {
  const env = {
    DATABASE_URL: 'postgres://u:p@127.0.0.1:1/d',
    SECRETS_KEY: Buffer.alloc(32).toString('base64'),
    BACKENDS: 'docker',
    PLATFORM_URL: 'http://localhost:8080',
  }
  expect(run(['src/main.ts', 'run'], env)).toMatchObject({
    status: 2,
    stdout: '',
    stderr: expect.stringMatching(/^molecule-operator: PLATFORM_URL is loopback, .*\n$/),
  })
})

test('a database that cannot be reached is named as one, without its password', () => {
  const DATABASE_URL = 'postgres://u:hunter3@127.0.0.1:1/d'
  const { status, stdout, stderr } = run(['src/main.ts', 'run'], { DATABASE_URL })
  expect(status).toBe(1)
  expect(JSON.parse(stdout)).toMatchObject({
    level: 'fatal',
    msg: 'operator failed',
    cause: 'PostgreSQL at 127.0.0.1:1: nothing listens at this address (connect ECONNREFUSED 127.0.0.1:1)',
  })
  expect(stderr).toBe('')
  for (const command of [['migrate'], ['adopt', '--list']])
    expect(run(['src/main.ts', ...command], { DATABASE_URL })).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/^molecule-operator: PostgreSQL at 127\.0\.0\.1:1: nothing listens .*\n$/),
    })
  expect(run(['src/main.ts', 'migrate', '--to', '0099_future'], { DATABASE_URL })).toMatchObject({
    status: 2,
    stderr: expect.stringMatching(/--to needs the name of a migration that this version knows, like \d{4}_/),
  })
  expect(run(['src/main.ts', 'run'], { DATABASE_URL: 'hunter3' })).toMatchObject({
    status: 2,
    stderr: 'molecule-operator: DATABASE_URL must be a URL like postgres://user:password@host:5432/database\n',
  })
})

test('what a library warns of is a line of the log', () => {
  const program = `
    const { runCommand } = await import('./src/cli.ts')
    setTimeout(() => process.emitWarning('several\\nlines'), 0)
    await runCommand(['run'])`
  const { stdout, stderr } = run(['--input-type=module', '-e', program], {
    DATABASE_URL: 'postgres://u:p@127.0.0.1:1/d',
  })
  expect(stderr).toBe('')
  expect(
    stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { msg: string }).msg),
  ).toContain('a library warns')
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
