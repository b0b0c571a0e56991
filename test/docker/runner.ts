/** A launch in a process of its own, which dies at the failpoint named by its argument. */
import { DockerBackend } from '../../src/backends/docker/backend.ts'
import type { InstanceSpec } from '../../src/backends/backend.ts'
import { armFailpoint } from '../../src/dev/failpoint.ts'

const { HOST = '', INSTANCE = '', SPEC = '' } = process.env
armFailpoint(process.argv[2] ?? '')
const spec = JSON.parse(SPEC) as InstanceSpec
// A Buffer does not survive JSON, and its content does not matter here.
const files = spec.files.map((file) => ({ path: file.path, content: String(file.content), mode: file.mode ?? 0o644 }))
const backend = new DockerBackend({ host: HOST, operatorInstance: INSTANCE })
await backend.ensure({ ...spec, files }, new AbortController().signal)
