// What the instances of the contract run: tells what it found before anything else, then waits to be ended.
import { appendFileSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'

const configs = process.env.WORKSPACE_CONFIG_PATH ?? '/configs'
const read = (path) => readFileSync(`${configs}/${path}`, 'utf8')
const modeOf = (path) => (statSync(`${configs}/${path}`).mode & 0o777).toString(8)

const found = {
  token: read('.auth_token'),
  tokenMode: modeOf('.auth_token'),
  secret: read('.platform_inbound_secret'),
  secretMode: modeOf('.platform_inbound_secret'),
  config: read('config.yaml'),
  prompt: read('prompts/system.md'),
  promptMode: modeOf('prompts/system.md'),
}
appendFileSync(`${configs}/starts`, '.')
const starts = read('starts').length
const kept = process.env.SESSIONS_DIR
if (kept) writeFileSync(`${kept}/session-${starts}`, 'x')
const sessions = kept && readdirSync(kept).length
console.log(`probe ${JSON.stringify({ ...found, starts, sessions, env: process.env })}`)
if (process.env.PROBE_EXIT) {
  console.log(`leaving with ${process.env.PROBE_EXIT}`)
  process.exit(Number(process.env.PROBE_EXIT))
}
const hoard = []
if (process.env.PROBE_HOARD) for (;;) hoard.push(Buffer.alloc(1 << 24, 1))
setInterval(() => {}, 1 << 30)
