import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;

/**
 * The JDBC driver logs in again and again: `Logins SECONDS` with the URL on standard input, and says how that went.
 *
 * <p>The driver reads the password file each time. One line of JSON: {"ok": …, "errors": [texts], "users": [who it was]}.
 */
public final class Logins {
    public static void main(String[] arguments) throws Exception {
        String url = new String(System.in.readAllBytes()).strip();
        long end = System.nanoTime() + (long) (Double.parseDouble(arguments[0]) * 1e9);
        int ok = 0;
        Set<String> errors = new TreeSet<>();
        Set<String> users = new TreeSet<>();
        do {
            try (Connection connection = DriverManager.getConnection(url);
                    Statement statement = connection.createStatement();
                    ResultSet result = statement.executeQuery("select current_user")) {
                result.next();
                users.add(result.getString(1));
                ok++;
            } catch (SQLException error) {
                errors.add(error.getMessage());
            }
            Thread.sleep(20);
        } while (System.nanoTime() < end);
        System.out.printf("{\"ok\": %d, \"errors\": %s, \"users\": %s}%n", ok, list(errors), list(users));
    }

    private static String list(Set<String> texts) {
        return texts.stream().map(text -> '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + '"').collect(Collectors.joining(", ", "[", "]"));
    }
}
