/** Who an agent is. The importer checks the nodes of a template with these before its first write. */
import { bounded, line, prose, ruled } from './fields.ts'

/** Unique among siblings. Any visible text, `R&D` too: whatever writes it into YAML or a command has to quote it. */
export const displayName = () =>
  ruled(line(255, 1), {
    cel: String.raw`self.matches(r'^\S(.*\S)?$')`,
    message: 'must not be blank, nor begin or end with a blank',
    holds: (name) => /^\S(.*\S)?$/.test(name),
  }).meta({ description: 'The name people see, unique among siblings. Absent: metadata.name.' })

export const role = () =>
  prose(1000).meta({ description: 'What the agent is for, in a few lines. The agent and its peers read it.' })

const forbiddenRoots = ['etc', 'var', 'proc', 'sys', 'dev', 'boot', 'sbin', 'bin', 'lib', 'usr']
const underForbidden = `^/+(${forbiddenRoots.join('|')})(/|$)`

/** A folder of the machine where containers run. */
export const workspaceDir = () =>
  ruled(
    bounded(1024, 2),
    {
      cel: String.raw`self.matches(r'^/[^\x00-\x1f\x7f\\:]*$')`,
      message: 'must be an absolute path, without ":", "\\" or control characters',
      holds: (path) => /^\/[^\x00-\x1f\x7f\\:]*$/.test(path),
    },
    {
      cel: String.raw`!self.matches(r'(^|/)[.]{1,2}(/|$)') && !self.matches(r'//') && self != '/'`,
      message: 'must be written out, without "." or ".." parts or empty ones',
      holds: (path) => !/(^|\/)\.{1,2}(\/|$)/.test(path) && !path.includes('//') && path !== '/',
    },
    {
      cel: `!self.matches(r'${underForbidden}')`,
      message: `must not be in a folder of the system (/${forbiddenRoots.join(', /')})`,
      holds: (path) => !new RegExp(underForbidden).test(path),
    },
  ).meta({ description: 'A folder of the Docker host for /workspace; see workspaceAccess. Backend docker only.' })
