/** A line to a server that can be cut or held, as a network or a machine would. */
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** `pass`; `refuse`: nobody listens; `freeze`: connections stand and nothing comes through; `babble`: no word of it is right. */
export type Line = 'pass' | 'refuse' | 'freeze' | 'babble'

export class TcpProxy {
  readonly port: number
  /** Connections that came so far. */
  taken = 0
  #target: number
  readonly #open = new Set<Socket>()
  #server: Server | undefined
  #line: Line = 'pass'

  private constructor(port: number, target: number) {
    this.port = port
    this.#target = target
  }

  static async start(port: number, target: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(port, target)
    await proxy.#listen()
    return proxy
  }

  /** Sockets of both sides that are open. */
  get open(): number {
    return this.#open.size
  }

  /** What is open breaks, unless it is to be held. */
  async set(line: Line): Promise<void> {
    this.#line = line
    if (line === 'freeze') for (const socket of this.#open) socket.pause()
    else this.#drop()
    if (line === 'refuse') await this.stop()
    else if (this.#server === undefined) await this.#listen()
  }

  /** To another server from now on; what is open breaks. */
  async lead(target: number): Promise<void> {
    this.#target = target
    await this.set('pass')
  }

  async stop(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    this.#drop()
    if (server === undefined) return
    server.close()
    await once(server, 'close')
  }

  #drop(): void {
    for (const socket of this.#open) socket.destroy()
  }

  async #listen(): Promise<void> {
    const server = createServer((socket) => this.#take(socket))
    this.#server = server
    server.listen(this.port, '127.0.0.1')
    await once(server, 'listening')
  }

  #take(socket: Socket): void {
    this.taken++
    this.#keep(socket)
    if (this.#line === 'freeze') return void socket.pause()
    if (this.#line === 'babble') return void socket.end('this is no server that you know\n')
    const onward = connect(this.#target, '127.0.0.1')
    this.#keep(onward)
    socket.pipe(onward)
    onward.pipe(socket)
    socket.on('close', () => onward.destroy())
    onward.on('close', () => socket.destroy())
  }

  #keep(socket: Socket): void {
    this.#open.add(socket)
    socket.on('error', () => undefined).on('close', () => this.#open.delete(socket))
  }
}
