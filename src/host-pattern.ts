/** Hosts as settings name them: `git.example` at any port, `git.example:8443`, `*.example` for all below it. */
export function matchesHost(pattern: string, { host, hostname }: Pick<URL, 'host' | 'hostname'>): boolean {
  const [wanted, name, whole] = [pattern, hostname, host].map((each) => each.toLowerCase().replace(/\.(?=:|$)/, ''))
  if (wanted === undefined || name === undefined) return false
  return wanted.startsWith('*.') ? name.endsWith(wanted.slice(1)) : wanted === name || wanted === whole
}
