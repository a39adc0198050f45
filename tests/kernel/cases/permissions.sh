mkdir -p "$layer/layer/closed"
(
  cd "$layer/layer"
  echo private >private && chmod 640 private
  echo inside >closed/inside && chmod 700 closed
  echo nothing >nothing && chmod 000 nothing
  chown -R 1001:1001 private closed nothing
)
chmod 755 "$layer" "$layer/layer"
run_job permissions
