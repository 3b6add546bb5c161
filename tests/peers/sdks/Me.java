import com.databricks.sdk.WorkspaceClient;
import com.databricks.sdk.core.DatabricksConfig;
import com.databricks.sdk.core.error.platform.Unauthenticated;
import com.databricks.sdk.service.iam.MeRequest;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The Java SDK as a long-running program: Me PROFILE CALLS PAUSE_MS asks who it is, again and again, and says how that went.
 *
 * <p>One line of JSON: {"ok": …, "unauthorized": …, "errors": [texts of all failures], "users": [who it was]}.
 */
public final class Me {
  public static void main(String[] arguments) throws Exception {
    int calls = Integer.parseInt(arguments[1]);
    int pause = Integer.parseInt(arguments[2]);
    int ok = 0;
    int unauthorized = 0;
    List<String> errors = new ArrayList<>();
    List<String> users = new ArrayList<>();
    WorkspaceClient client = null;
    try {
      client = new WorkspaceClient(new DatabricksConfig().setProfile(arguments[0]));
    } catch (Exception error) {
      errors.add(error.toString());
      calls = 0;
    }
    for (int call = 0; call < calls; call++) {
      if (call > 0) {
        Thread.sleep(pause);
      }
      try {
        String user = client.currentUser().me(new MeRequest()).getUserName();
        ok++;
        if (!users.contains(user)) {
          users.add(user);
        }
      } catch (Exception error) {
        if (error instanceof Unauthenticated) {
          unauthorized++;
        }
        errors.add(error.toString());
      }
    }
    Map<String, Object> result = new LinkedHashMap<>();
    result.put("ok", ok);
    result.put("unauthorized", unauthorized);
    result.put("errors", errors);
    result.put("users", users);
    System.out.println(new ObjectMapper().writeValueAsString(result));
    // Threads of the HTTP client would keep it alive.
    System.exit(0);
  }
}
