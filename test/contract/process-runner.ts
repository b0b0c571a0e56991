/** A launch in a process of its own, to be killed at any moment after it says that it begins. */
import { ProcessBackend } from '../../src/backends/process/backend.ts'
import { specOf } from './spec.ts'

const { STATE_DIR = '', COMMAND = '[]', UID = '' } = process.env
const command = JSON.parse(COMMAND) as string[]
const backend = new ProcessBackend({ stateDir: STATE_DIR, command, operatorInstance: 'life' })
process.stdout.write('begin\n')
await backend.ensure(specOf('', UID))
