/** A certificate for a server of a test on 127.0.0.1. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { promisify } from 'node:util'

export interface Certificate {
  readonly key: string
  readonly cert: string
}

/** Makes one that signs itself, and that the clients of this process trust from then on. */
export async function trustedCertificate(): Promise<Certificate> {
  const dir = await mkdtemp(join(tmpdir(), 'molecule-test-tls-'))
  try {
    const ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key.pem']
    const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
    const args = ['req', '-x509', ...ec, ...subject, '-days', '2', '-out', 'cert.pem']
    await promisify(execFile)('openssl', args, { cwd: dir })
    const [key, cert] = await Promise.all(['key.pem', 'cert.pem'].map((name) => readFile(join(dir, name), 'utf8')))
    if (key === undefined || cert === undefined) throw new Error('openssl made no certificate')
    setDefaultCACertificates([...getCACertificates('default'), cert])
    return { key, cert }
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}
