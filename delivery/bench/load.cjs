// One measurement: clients that send a scenario's calls over and over, each its next call when it has the answer.
//
// Reads one JSON object (`Job` in load.py, and the tool's folder) from stdin and writes one to stdout. Sending and timing are autocannon's;
// here is what is sent, what an answer must be, and what the server acknowledged. A client that has its last answer
// after the end sends nothing more, so that at the end nothing is under way.
'use strict'

const { randomBytes } = require('node:crypto')
const { readFileSync } = require('node:fs')

const job = JSON.parse(readFileSync(0, 'utf8'))
const autocannon = require(job.tool)

const API = '/api/2.0/mlflow'
const UI = '/ajax-api/2.0/mlflow'
const JSON_HEADERS = { 'Content-Type': 'application/json' }
const GRACE_SECONDS = 5

const acknowledged = { runs: {}, values: {}, traces: [], artifacts: {} }
const calls = {}
const sum = { sent: 0, answered: 0 }
let counted = 0
let deadline = Infinity
let clients = 0
let lastAnswer = Date.now()
const intervals = {}
let names = 0
let runs = 0

const count = (number, make) => Array.from({ length: number }, (_, index) => make(index))
const post = (name, path, body, more = {}) => ({ name, method: 'POST', path, headers: JSON_HEADERS, body, ...more })
const get = (name, path, more = {}) => ({ name, method: 'GET', path, body: () => undefined, ...more })
const inRun = body => client => client.run && body(client.run)
// `values` of a run of the sample are noted too: rows that must be found as they are.
const stored = (client, kind, number, values = []) => {
  acknowledged.runs[client.run][kind] += number
  acknowledged.values[client.run]?.[kind]?.push(...values)
}

// --- calls of a run ---------------------------------------------------------------------------------------------

const create = post('create', `${API}/runs/create`, client => {
  client.run = null
  return JSON.stringify({ experiment_id: job.experiment, run_name: `bench-${names++}`, start_time: Date.now(), tags: [] })
}, {
  accept: (client, body) => {
    client.run = JSON.parse(body).run.info.run_id
    if (!acknowledged.runs[client.run]) {
      if (runs++ % job.sample === 0) acknowledged.values[client.run] = { metrics: [], params: [] }
      acknowledged.runs[client.run] = { metrics: 0, params: 0, finished: 0 }
    }
    return true
  }
})

const logMetric = step => post('log-metric', `${API}/runs/log-metric`, inRun(run =>
  `{"run_id":"${run}","key":"loss","value":${1 / (step + 1)},"timestamp":${Date.now()},"step":${step}}`
), { accept: client => { stored(client, 'metrics', 1, [['loss', step, 1 / (step + 1)]]); return true } })

const logParameter = index => post('log-parameter', `${API}/runs/log-parameter`, inRun(run =>
  `{"run_id":"${run}","key":"parameter-${index}","value":"${index}"}`
), { accept: client => { stored(client, 'params', 1, [[`parameter-${index}`, `${index}`]]); return true } })

// `number` metrics of ten keys, at steps that no other batch of the run has.
const logBatch = (number, batch) => {
  const metrics = count(number, index => ({
    key: `batch-${index % 10}`, value: index / number, timestamp: 1700000000000 + index, step: batch * number + index
  }))
  const written = JSON.stringify(metrics)
  const last = metrics.slice(-10).map(({ key, step, value }) => [key, step, value])
  return post('log-batch', `${API}/runs/log-batch`, inRun(run => `{"run_id":"${run}","metrics":${written}}`), {
    accept: client => { stored(client, 'metrics', number, last); return true }
  })
}

const update = post('update', `${API}/runs/update`, inRun(run =>
  `{"run_id":"${run}","status":"FINISHED","end_time":${Date.now()}}`
), { accept: client => { stored(client, 'finished', 1); return true } })

const getOwn = {
  ...get('get-run', client => `${API}/runs/get?run_id=${client.run}`, {
    accept: (client, body) => JSON.parse(body).run.info.run_id === client.run
  }),
  body: client => client.run ? undefined : null
}

// --- calls that read --------------------------------------------------------------------------------------------

const has = test => (_client, body) => test(JSON.parse(body))
const searched = has(answer => answer.runs.length > 0)

const searchRuns = (name, query) => post(name, `${UI}/runs/search`, () =>
  JSON.stringify({ experiment_ids: [job.dataset], max_results: 100, ...query }), { accept: searched })

const reads = () => [
  searchRuns('search-latest', { order_by: ['attributes.start_time DESC'] }),
  searchRuns('search-by-metric', {
    filter: "metrics.loss < 0.5 AND params.optimizer = 'adam'", order_by: ['metrics.loss ASC']
  }),
  searchRuns('search-by-tag', { filter: "tags.team = 'team-3'", order_by: ['attributes.start_time DESC'] }),
  post('search-experiments', `${UI}/experiments/search`, () => '{"max_results":100}', {
    accept: has(answer => answer.experiments.length > 0)
  }),
  get('get-run', `${UI}/runs/get?run_id=${job.history}`, { accept: has(answer => answer.run.info.run_id) }),
  get('metric-history',
    `${UI}/metrics/get-history-bulk-interval?run_ids=${job.history}&metric_key=loss&max_results=320`,
    { accept: has(answer => answer.metrics.length > 0) }),
  get('metric-history-page', `${API}/metrics/get-history?run_id=${job.history}&metric_key=loss&max_results=1000`,
    { accept: has(answer => answer.metrics.length === 1000) })
]

const byAlias = () => [
  get('get-by-alias', `${API}/registered-models/alias?name=${job.model}&alias=champion`, {
    accept: has(answer => answer.model_version.name === job.model)
  })
]

// --- artifacts --------------------------------------------------------------------------------------------------

const artifacts = size => {
  const content = randomBytes(size)
  const path = client => `/api/2.0/mlflow-artifacts/artifacts/${job.folder}/${client.file}`
  return [
    {
      name: 'upload',
      method: 'PUT',
      headers: { 'Content-Type': 'application/octet-stream' },
      path: client => { client.file = `${names++}.bin`; return path(client) },
      body: () => content,
      accept: client => { acknowledged.artifacts[client.file] = size; return true }
    },
    // The content would only fill this program's memory: it is counted.
    get('download', path, { discarded: true, accept: (_client, _body, bytes) => bytes >= size })
  ]
}

// --- traces: the spans are made by load.py, with a mark where the trace's id is ------------------------------------

const traces = () => {
  const template = Buffer.from(job.trace.body, 'base64')
  const mark = Buffer.from(job.trace.mark, 'hex')
  const places = []
  for (let at = template.indexOf(mark); at >= 0; at = template.indexOf(mark, at + 1)) places.push(at)
  return [{
    name: 'export-trace',
    method: 'POST',
    path: '/v1/traces',
    headers: { 'Content-Type': 'application/x-protobuf', 'x-mlflow-experiment-id': job.experiment },
    body: client => {
      const identifier = randomBytes(mark.length)
      client.trace = identifier.toString('hex')
      const body = Buffer.from(template)
      for (const at of places) identifier.copy(body, at)
      return body
    },
    accept: client => { acknowledged.traces.push(client.trace); return true }
  }]
}

const SCENARIOS = {
  logging: () => [create, ...count(20, logMetric), ...count(5, logParameter), logBatch(50, 0), update],
  bursty: () => [create, ...count(5, logMetric), ...count(5, logParameter), update],
  batch: () => [create, ...count(10, batch => logBatch(1000, batch)), update],
  reads,
  registry: byAlias,
  artifacts: () => artifacts(job.bytes),
  traces,
  access: () => [create, ...count(10, logMetric).flatMap(call => [call, getOwn]), update]
}

// --- one client -------------------------------------------------------------------------------------------------

const flow = SCENARIOS[job.scenario]()
for (const { name } of flow) calls[name] ??= { ms: [], outside: 0, failed: {}, wrong: 0 }

function accepted (call, ...answer) {
  try { return call.accept(...answer) } catch { return false }
}

// What went on in each interval of the time, if it is asked for.
function note (kind, milliseconds) {
  if (!job.interval) return
  const interval = intervals[Math.floor((Date.now() - began) / 1000 / job.interval)] ??= { ms: [], failed: 0 }
  if (kind === 'accepted') interval.ms.push(milliseconds)
  else interval.failed += 1
}

// The client sends `job.rate / job.clients` requests a second, fewer if it waits longer for an answer: what is late is
// not made up for.
function pace (client, number) {
  const send = client._doRequest
  const every = 1000 * job.clients / job.rate
  let due = Date.now() + every * number / job.clients
  let timer
  client._doRequest = () => {
    due = Math.max(due + every, Date.now())
    // A connection that was made again asks once more for what is due already.
    clearTimeout(timer)
    timer = setTimeout(() => { if (!client.destroyed) send.call(client) }, due - Date.now())
  }
}

function retire (client) {
  // Otherwise its timer would connect it again.
  client._doRequest = client._connect = () => {}
  client.destroy()
}

function setupClient (client) {
  const state = { run: null, turns: 0 }
  const number = clients++
  // Calls that do not depend on each other begin with another one for each client.
  const first = job.scenario === 'reads' ? number % flow.length : 0
  // The first run of a client leaves calls out, so that clients are not all at the same call when the time begins.
  const skipped = flow[0] === create && !job.turns ? number % (flow.length - 1) : 0
  const own = [...flow.slice(first), ...flow.slice(0, first)]
  let answer = null
  client.setRequests(own.map((call, index) => ({
    method: call.method,
    setupRequest: request => {
      const path = typeof call.path === 'function' ? call.path(state) : call.path
      const body = call.body(state)
      // Nothing to send, as no run was made: the client goes on with its first call.
      if (body === null || body === false) return null
      return { ...request, headers: { ...job.headers, ...call.headers }, path, ...(body === undefined ? {} : { body }) }
    },
    onResponse: (status, body) => {
      answer = { call, status, body, last: index === flow.length - 1 }
      if (index === 0 && state.turns === 0) client.requestIterator.currentRequestIndex = skipped
    }
  })))
  if (job.rate) pace(client, number)
  const connect = client._connect
  client._connect = () => {
    // A request that the closed connection left unanswered would be taken for the next one's.
    client.pipelinedRequests.clear()
    connect.call(client)
  }
  const keep = client.pipelinedRequests.addBody.bind(client.pipelinedRequests)
  client.pipelinedRequests.addBody = data => {
    const under = client.requestIterator.currentRequestIndex
    if (!own[under].discarded) keep(data)
  }
  client.on('request', () => { sum.sent += 1 })
  for (const unanswered of ['timeout', 'connError']) {
    client.on(unanswered, () => {
      note('failed')
      if (Date.now() >= deadline) retire(client)
    })
  }
  client.on('response', (status, bytes, milliseconds) => {
    const { call, body, last } = answer
    const noted = calls[call.name]
    const now = Date.now()
    sum.answered += 1
    lastAnswer = now
    const good = status === 200 && accepted(call, state, body, bytes)
    note(good ? 'accepted' : 'failed', milliseconds)
    if (status !== 200) noted.failed[status] = (noted.failed[status] ?? 0) + 1
    else if (!good) noted.wrong += 1
    else if (now < counted || now > deadline) noted.outside += 1
    else noted.ms.push(Math.round(milliseconds * 1000) / 1000)
    if (last) state.turns += 1
    if (now >= deadline || (job.turns && state.turns >= job.turns)) retire(client)
  })
}

const began = Date.now()
counted = began + job.warm * 1000
deadline = counted + job.seconds * 1000
const before = process.cpuUsage()

autocannon({
  url: job.url,
  connections: job.clients,
  // It ends when every client has; this is for those that hang.
  duration: job.warm + job.seconds + job.timeout + GRACE_SECONDS,
  timeout: job.timeout,
  sampleInt: 50,
  setupClient
}, error => {
  if (error) throw error
  const used = process.cpuUsage(before)
  const seconds = job.turns && lastAnswer > began ? (lastAnswer - began) / 1000 : job.seconds
  const cpu = (used.user + used.system) / 1e6
  const written = JSON.stringify({ seconds, calls, ...sum, acknowledged, cpu, intervals })
  process.stdout.write(written, () => process.exit(0))
})
