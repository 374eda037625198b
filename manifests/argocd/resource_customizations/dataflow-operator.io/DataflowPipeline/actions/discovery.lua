local actions = {}
local going = obj.metadata.deletionTimestamp ~= nil
local suspended = obj.spec.suspend == true

local known = {}
if obj.status ~= nil and obj.status.conditions ~= nil then
  for _, condition in ipairs(obj.status.conditions) do
    known[condition.type] = condition.status
  end
end

-- A stream whose job runs, or is on its way, refuses a run: only one that has come to a halt takes it.
local takes = obj.spec.type == "Batch" or (known["Stalled"] == "True" and known["Available"] ~= "True")

actions["reconcile"] = {
  displayName = "Look again",
  iconClass = "fa fa-fw fa-refresh",
  disabled = going,
}
actions["run"] = {
  displayName = "Run",
  iconClass = "fa fa-fw fa-play-circle",
  disabled = going or suspended or not takes,
}
actions["suspend"] = {
  displayName = "Suspend",
  iconClass = "fa fa-fw fa-pause",
  disabled = going or suspended,
}
actions["resume"] = {
  displayName = "Resume",
  iconClass = "fa fa-fw fa-play",
  disabled = going or not suspended,
}
return actions
