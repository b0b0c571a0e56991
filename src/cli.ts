/** The command line. */
import { readFileSync } from 'node:fs'
import { adoptCommand } from './adopt-command.ts'
import { ConfigError, helpText, readConfig, releasedBackends } from './config.ts'
import { Fenced, reasonOf } from './errors.ts'
import { runOperator, type OpenBackend } from './operator.ts'
import { migrate } from './store/postgres/migrate.ts'
import { createLogger } from './telemetry/log.ts'

/** Backends that only a development build has, by name. */
type MoreBackends = Readonly<Record<string, OpenBackend>>

/** Runs one command; gives the exit code: 0 asked to stop, 1 failed, 2 wrong settings, 3 another leads. */
export async function runCommand(argv: readonly string[], more: MoreBackends = {}): Promise<number> {
  try {
    return await main(argv, more)
  } catch (error) {
    process.stderr.write(`molecule-operator: ${reasonOf(error)}\n`)
    return error instanceof ConfigError ? 2 : 1
  }
}

async function main(argv: readonly string[], more: MoreBackends): Promise<number> {
  const [command = 'help', ...args] = argv
  switch (command) {
    case 'run':
      return await run(args, more)
    case 'migrate': {
      const applied = await migrate(readConfig(args, process.env).DATABASE_URL)
      process.stdout.write(applied.length > 0 ? `applied ${applied.join(', ')}\n` : 'nothing to apply\n')
      return 0
    }
    case 'adopt':
      process.stdout.write(await adoptCommand(args, process.env))
      return 0
    case 'version': {
      const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
      process.stdout.write(`${(JSON.parse(text) as { version: string }).version}\n`)
      return 0
    }
    case 'help':
    case '--help':
      process.stdout.write(helpText())
      return 0
    default:
      throw new ConfigError(`unknown command "${command}"; see --help`)
  }
}

async function run(args: readonly string[], more: MoreBackends): Promise<number> {
  const config = readConfig(args, process.env, [...releasedBackends, ...Object.keys(more)])
  const log = createLogger(config.LOG_LEVEL)
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())
  // A promise nobody waited for is a fault of ours: what it left half done is best mended by a new process.
  process.on('unhandledRejection', (error) => {
    log.fatal({ cause: reasonOf(error) }, 'unhandled rejection')
    process.exit(1)
  })
  try {
    await runOperator(config, log, stop.signal, more)
    log.info('stopped')
    return 0
  } catch (error) {
    if (error instanceof Fenced) {
      log.warn({ cause: reasonOf(error) }, 'another leads: this process ends')
      return 3
    }
    log.fatal({ cause: reasonOf(error) }, 'operator failed')
    return 1
  }
}
