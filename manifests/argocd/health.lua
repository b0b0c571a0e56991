-- Health of every kind of molecule.dev for Argo CD, which knows none for custom resources: without this script each of them
-- is Healthy as soon as it exists. How to configure it: docs/gitops.md. It needs no library of Lua.
--   Suspended    a person has stopped it (paused, suspend, dryRun), or has to approve its plan
--   Degraded     a person has to change something: Stalled
--   Progressing  on its way, being deleted, or its latest spec has not been looked at
--   Healthy      as its spec asks
local metadata = obj.metadata or {}
local status = obj.status or {}
local health = { status = "Progressing", message = status.summary or "" }

if metadata.deletionTimestamp ~= nil then
  return health
end
if status.observedGeneration ~= metadata.generation then
  health.message = "The operator has not looked at this generation yet"
  return health
end

local ready, reconciling, stalled
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then ready = condition end
  if condition.status == "True" then
    if condition.type == "Reconciling" then reconciling = condition end
    if condition.type == "Stalled" then stalled = condition end
  end
end

if stalled ~= nil then
  health.message = stalled.message
  if stalled.reason == "PlanBlocked" or stalled.reason == "TooManyDeletes" then
    health.status = "Suspended"
  else
    health.status = "Degraded"
  end
elseif reconciling ~= nil then
  health.message = reconciling.message
elseif ready ~= nil then
  health.message = ready.message
  if ready.status == "True" then
    if ready.reason == "Paused" or ready.reason == "Suspended" or ready.reason == "DryRun" then
      health.status = "Suspended"
    else
      health.status = "Healthy"
    end
  end
end
return health
