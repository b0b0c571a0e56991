/** The lists and groups of a Workspace's spec that are more than a line. */
import { z } from 'zod'
import * as f from './fields.ts'

const filePath = f.ruled(f.bounded(200, 1), {
  cel: String.raw`self.matches(r'^[^/\\\x00-\x1f\x7f]+(/[^/\\\x00-\x1f\x7f]+)*$') && !self.matches(r'(^|/)[.]{1,2}(/|$)')`,
  message: 'must be a path below /configs: relative, with forward slashes, without "." or ".." parts',
  holds: (path) => /^[^/\\\x00-\x1f\x7f]+(\/[^/\\\x00-\x1f\x7f]+)*$/.test(path) && !/(^|\/)\.{1,2}(\/|$)/.test(path),
})

const file = z.object({
  path: f
    .ruled(filePath, {
      cel: "!(self in ['.auth_token', '.platform_inbound_secret'])",
      message: 'this file is written by the operator: choose another name',
      holds: (path) => path !== '.auth_token' && path !== '.platform_inbound_secret',
    })
    .meta({ description: 'Where it goes, relative to /configs: prompts/review.md.' }),
  configMapKeyRef: f.keyRef('ConfigMap').meta({ description: 'What is in it.' }),
  mode: z.int().min(0).max(0o777).meta({ description: 'Permission bits. Absent: 420, which is 0644.' }).exactOptional(),
})

export const files = f.listBy('path', file, 512, 'ConfigMap keys placed under /configs before the agent starts.')

export const compute = z
  .object({
    instanceType: f
      .matching('^[a-z0-9-]+[.][a-z0-9-]+$', 64)
      .meta({ description: 'The EC2 instance type: t3.medium.' })
      .exactOptional(),
    rootVolumeGiB: z.int().min(30).max(500).meta({ description: 'Size of the root volume.' }).exactOptional(),
    subnetId: f.matching('^subnet-[0-9a-f]{8,17}$', 24).meta({ description: 'The subnet.' }).exactOptional(),
    securityGroupIds: f
      .setOf(f.matching('^sg-[0-9a-f]{8,17}$', 20), 16, 'Security groups instead of the default one.')
      .exactOptional(),
    dataPersistence: z
      .enum(['Auto', 'Persist', 'Ephemeral'])
      .default('Auto')
      .meta({ description: 'Whether the data volume outlives the instance.' }),
  })
  .meta({ description: 'The machine. Backend ec2 only.' })

const schedule = z.object({
  name: f.matching('^[a-z0-9]+(-[a-z0-9]+)*$', 128, 1).meta({ description: 'Unique in this workspace.' }),
  cron: f
    .ruled(f.bounded(128, 9), {
      cel: String.raw`self.matches(r'^[0-9A-Za-z*/,-]+( +[0-9A-Za-z*/,-]+){4}$')`,
      message: 'must have five fields (minute hour day month weekday): "30 9 * * 1-5"',
      holds: (cron) => /^[0-9A-Za-z*/,-]+( +[0-9A-Za-z*/,-]+){4}$/.test(cron),
    })
    .meta({ description: 'When, in five fields: "30 9 * * 1-5".' }),
  timezone: f
    .matching('^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$', 64)
    .default('UTC')
    .meta({ description: 'IANA time zone: Europe/Berlin.' }),
  prompt: f.text(16_384, 1).meta({ description: 'What the agent is told each time.' }),
  enabled: z.boolean().default(true).meta({ description: 'Whether it runs.' }),
})
export const schedules = f.listBy(
  'name',
  schedule,
  100,
  'Prompts that the agent gets at set times: once each, also when it sleeps; one is made up for after an outage.',
)

const channel = z.object({
  name: f.matching('^[a-z0-9]+(-[a-z0-9]+)*$', 63, 1).meta({ description: 'Unique in this workspace.' }),
  type: z.enum(['telegram', 'slack', 'discord', 'lark']).meta({ description: 'The service.' }),
  config: f.mapOf(f.text(4096), 32, 'Settings that are no secrets: chat_id, channel_id.').exactOptional(),
  secretRef: f
    .dataRef('Secret')
    .meta({ description: 'A Secret with the other settings: bot_token, webhook_url.' })
    .exactOptional(),
  configFrom: f
    .listBy('name', f.envVar, 32, 'Single settings by reference, as in a Pod; they win over config and secretRef.')
    .exactOptional(),
  allowedUsers: f.setOf(f.line(128, 1), 256, 'Who may write to the agent. Absent: everyone there.').exactOptional(),
  enabled: z.boolean().default(true).meta({ description: 'Whether it is connected.' }),
})
export const channels = f.listBy(
  'name',
  channel,
  32,
  'Social channels of the agent. Each is a row, its credentials sealed; connecting to them is not part of the operator.',
)

const memory = z.object({
  content: f.text(100_000, 1).meta({ description: 'What is remembered.' }),
  scope: z.enum(['LOCAL', 'TEAM', 'GLOBAL']).default('LOCAL').meta({ description: 'Who may recall it.' }),
})
export const memories = f.atomic(
  memory,
  64,
  'What the agent knows from the start. Each is given once and is its own from then on, also when it leaves the spec.',
)

export const categoryRouting = f.mapOf(
  f.atomic(f.line(255, 1), 32, 'Display names, the first that is free takes it.'),
  64,
  'Which peers get a task of which category.',
)
