import type { Metrics } from '../telemetry/metrics.ts'

/** Counts requests by the template of their route, never by their path: that would be as many series as workspaces. */
export function requestCount({ httpRequests, httpSeconds }: Pick<Metrics, 'httpRequests' | 'httpSeconds'>) {
  return (method: string, path: string, status: number, seconds: number): void => {
    const labels = { method, path, status }
    httpRequests.inc(labels)
    httpSeconds.inc(labels, seconds)
  }
}
