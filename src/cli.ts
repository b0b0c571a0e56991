/** The command line. */
import { adoptCommand } from './adopt-command.ts'
import { readVersion } from './build.ts'
import { ConfigError, migrateUsage, readConfig, releasedBackends, requireReach } from './config.ts'
import { Fenced, reasonOf } from './errors.ts'
import { helpText } from './help.ts'
import { runOperator, type OpenBackend } from './operator.ts'
import { isMigration, latestMigration, migrate } from './store/postgres/migrate.ts'
import { withDatabase } from './store/postgres/start-faults.ts'
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
  switch (args.some((arg) => arg === '--help' || arg === '-h') ? 'help' : command) {
    case 'run':
      return await run(args, more)
    case 'migrate':
      process.stdout.write(await migrateCommand(args))
      return 0
    case 'adopt':
      process.stdout.write(await adoptCommand(args, process.env))
      return 0
    case 'version':
    case '--version':
      process.stdout.write(`${readVersion()}\n`)
      return 0
    case 'help':
    case '--help':
    case '-h':
      process.stdout.write(helpText())
      return 0
    default:
      throw new ConfigError(`unknown command "${command}"; see --help`)
  }
}

/** Gives what to print. */
async function migrateCommand(args: readonly string[]): Promise<string> {
  const at = args.findIndex((arg) => arg === '--to' || arg.startsWith('--to='))
  const inline = args[at]?.split('=', 2)[1]
  const to = at < 0 ? undefined : (inline ?? args[at + 1] ?? '')
  const rest = at < 0 ? args : args.toSpliced(at, inline === undefined ? 2 : 1)
  if (to !== undefined && !isMigration(to))
    throw new ConfigError(
      `--to needs the name of a migration that this version knows, like ${latestMigration}: ${migrateUsage}`,
    )
  const { DATABASE_URL: url } = readConfig(rest, process.env)
  const names = await withDatabase(url, () => migrate(url, to === undefined ? 'latest' : { to }))
  if (names.length === 0) return to === undefined ? 'nothing to apply\n' : 'nothing to take back\n'
  return `${to === undefined ? 'applied' : 'took back'} ${names.join(', ')}\n`
}

async function run(args: readonly string[], more: MoreBackends): Promise<number> {
  const config = readConfig(args, process.env, [...releasedBackends, ...Object.keys(more)])
  requireReach(config)
  const log = createLogger(config.LOG_LEVEL)
  const stop = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => stop.abort())
  // Node prints warnings of libraries as plain text, several lines of it, among the lines of JSON.
  process.removeAllListeners('warning')
  process.on('warning', (warning) => log.warn({ reason: reasonOf(warning) }, 'a library warns'))
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
