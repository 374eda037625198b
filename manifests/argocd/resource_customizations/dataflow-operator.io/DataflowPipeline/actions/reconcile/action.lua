local os = require("os")
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
-- A token, not a time: the operator looks again when it changes, and says in status.lastHandledReconcileAt that it has.
obj.metadata.annotations["dataflow-operator.io/reconcile-requested-at"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
