import type { InstanceSpec } from '../backend.ts'

/** The agent of a fake instance: registers once with its token, as a real one does first. Failures are its own matter. */
export function registerAt(spec: InstanceSpec): void {
  const id = spec.env['WORKSPACE_ID'] ?? ''
  void fetch(`${spec.env['PLATFORM_URL'] ?? ''}/registry/register`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${spec.token}` },
    body: JSON.stringify({ id, agent_card: { name: spec.ref.name } }),
  }).then(
    (response) => response.arrayBuffer(),
    () => undefined,
  )
}
