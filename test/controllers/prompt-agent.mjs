/** An agent that hands every message of the operator to COLLECTOR and answers with what that says; it lives as long as COLLECTOR does. */
import { readFileSync } from 'node:fs'
import { createServer, get } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

const { COLLECTOR, PLATFORM_URL, PORT, WORKSPACE_CONFIG_PATH, WORKSPACE_ID: id } = process.env
const url = `http://127.0.0.1:${PORT}`
const secret = readFileSync(`${WORKSPACE_CONFIG_PATH}/.platform_inbound_secret`, 'utf8')

async function collect(request, response) {
  if (request.headers.authorization !== `Bearer ${secret}`) return response.writeHead(401).end()
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const answer = await fetch(`${COLLECTOR}/${id}`, { method: 'POST', body: Buffer.concat(chunks) })
  response.writeHead(answer.status, { 'content-type': 'application/json' }).end(await answer.text())
}

async function tell(path, body) {
  const token = readFileSync(`${WORKSPACE_CONFIG_PATH}/.auth_token`, 'utf8').trim()
  const response = await fetch(`${PLATFORM_URL}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!response.ok) throw new Error(`${path} answered ${response.status}`)
}

get(`${COLLECTOR}/${id}`, (answer) => answer.resume().on('close', () => process.exit(0))).on('error', () =>
  process.exit(0),
)
createServer((request, response) => collect(request, response).catch(() => response.destroy())).listen(
  Number(PORT),
  '127.0.0.1',
)
for (;;) {
  try {
    await tell('/registry/register', { id, url, agent_card: { name: id, version: '1.0.0', url } })
    break
  } catch {
    await sleep(200)
  }
}
