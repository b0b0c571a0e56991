/** The entry: sets the process up, then runs the command line. */
import { beginAgain } from './process.ts'

beginAgain()
const { runCommand } = await import('./cli.ts')
process.exit(await runCommand(process.argv.slice(2)))
