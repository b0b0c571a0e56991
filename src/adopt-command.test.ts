import { expect, test } from 'vitest'
import { adoptCommand } from './adopt-command.ts'
import { ConfigError } from './config.ts'

const row = '0b2f5c1e-4a3d-4c2b-9f1e-7d6c5b4a3f2e'
const env = { DATABASE_URL: 'postgres://localhost:1/none' }

test.each([
  [['--assign', `${row}=No_Namespace`], /"No_Namespace" is no name of a namespace/],
  [['--assign', `${row}=acme=more`], /is no name of a namespace/],
  [['--assign', row], /is no name of a namespace/],
  [['--assign', 'lead=acme'], /needs the id \(UUID\) of a row: "lead" is none/],
  [['--unassign', `${row}=acme`], /takes a row alone/],
  [[], /needs one of its own flags/],
])('adopt %j is refused before a database is asked', async (args, message) => {
  const refused = adoptCommand(args, env)
  await expect(refused).rejects.toThrow(ConfigError)
  await expect(refused).rejects.toThrow(message)
})
