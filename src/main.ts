/** The entry: sets the process up, then runs the command line. */
import { beginAgain } from './process.ts'

beginAgain()
await import('./cli.ts')
